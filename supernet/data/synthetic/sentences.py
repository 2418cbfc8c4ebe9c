"""Sentences for the synthetic talkers, generated from a small grammar.

Some 1,000 stems and their forms make 1,700 different words: enough that no network learns the text by heart.
"""

from __future__ import annotations

import numpy as np

_NOUNS = """
actor afternoon airport anchor animal answer apple apron arrow artist aunt author avenue badge baker balcony ball
bandage banner barber barn barrel basket bath beach bean bear bedroom bee bell belt bicycle bird biscuit blanket
blossom boat bolt book boot border bottle bowl box boy branch brick bridge broom brother bucket building bullet bus
butcher button cabin cabinet cable cake camel camera candle canoe captain car card carpet carrot cart castle cat
cathedral cellar chain chair chamber channel chapel chapter cheese chef chicken chimney church cinema circle city
clock cloud clown coach coast coat coin collar comb concert cook corner cottage cousin cow cradle crane crow crown
cup cupboard curtain cushion dancer daughter dentist desk diamond dinner doctor dog doll donkey door dragon drawer
dream dress driver drum duck eagle editor egg elbow elephant emperor engine envelope evening farmer father feather
fence ferry field finger fire flag flower flute forest fork fountain fox friend frog garage garden gate ghost giant
giraffe girl glove goat grape guard guest guitar hammer hand harbour harvest hat hedge helmet hill hook horse
hospital hotel hour island jacket jar jewel journey judge jug jungle kettle key king kitchen kite ladder lake lamp
lantern lawyer leather lemon letter library lighthouse lion lizard magnet mango map market mechanic medal melon
message meteor minister mirror monkey month morning mother motor mountain museum mushroom nail necklace needle
neighbour nephew nest newspaper night nurse oak ocean office olive onion orange orchard oven owl painter palace
panther paper parcel parrot passenger path pea peach pear pebble pencil pepper piano picture pig pigeon pillow pilot
pirate plane planet plate player plum pocket poem poet pond potato potter prince prison prize pumpkin puppet queen
rabbit radio railway rainbow raven ribbon ring river road robin rocket roof room rope rose ruler saddle sailor
sandwich saucer school scooter sculptor season secret shadow shark shelter ship shirt shoe shop shoulder shovel
signal singer sister skirt snake soldier song spider spoon squirrel stable stadium stamp star station statue stone
storm story stove stranger street student summer swan table tailor teacher temple tent theatre thief ticket tiger
tower town toy tractor train traveller treasure tree trumpet tunnel turtle uncle valley vase vegetable village
violin visitor voyage wagon waiter walnut wardrobe watch waterfall wheel whistle widow window winter wizard worker
yacht year zebra
"""
_VERBS = """
accept admire answer arrange ask attack avoid bake balance boil borrow bother brush burn call carry change chase
check clean climb close collect colour compare complain count cover crash cross damage deliver describe design
destroy discover discuss dust earn empty enjoy enter examine explain explore fetch fill finish fix fold follow
gather greet guard guide hammer handle help hide hurry ignore imagine improve inspect invite join kick kiss knock
lift light like load lock love manage mark measure mend miss mix move need notice offer open order pack paint pass
pick place plant please polish pour praise press print promise protect pull push raise reach recognise remember
remove repair replace report rescue return save scratch search serve share shout show smell stack start steer
stretch study support surprise taste test thank touch trade train trust turn use visit wait want warn wash watch
whisper
"""
_ADJECTIVES = """
amazing ancient angry awful beautiful big bitter black blue bold brave brief bright brilliant broad broken brown
calm careful charming cheap clever cold colourful common cool crazy cruel curious damp dangerous dark dear deep
delicate different distant dry eager early easy elegant empty enormous exact faint fair faithful famous fancy fast
final firm flat fond foolish foreign formal fresh friendly full funny gentle glad golden grand grateful great green
grey happy hard heavy hollow honest huge humble hungry jolly kind large late lazy light little local lonely long
loose loud lovely low lucky mad modern narrow natural near neat nervous new nice noisy odd old orange pale patient
perfect plain pleasant polite poor popular precious pretty proud pure purple quick quiet rare ready red remarkable
rich rough round royal rude sad safe secret serious shallow sharp short shy silent silly silver simple slow small
smooth soft solid sour special square steady steep stiff strange strong sudden sweet tall tender terrible thick thin
tidy tight tiny tired tough true usual valuable vast violent warm weak wealthy wet white wicked wide wild wise
wonderful wooden yellow young
"""
_NAMES = """
Adam Agnes Alan Alice Amy Andrew Anna Arthur Barbara Ben Betty Brian Carl Carol Charles Clara Colin Daisy Daniel
David Diana Donald Edith Edward Ella Emma Eric Eva Fiona Frances Frank George Grace Graham Hannah Harold Harry Helen
Henry Hugh Ian Irene Isaac Jack James Jane Jean Joan John Joseph Joyce Judith Julia Karen Kate Keith Kevin Laura Leo
Lily Lucy Mabel Margaret Mark Martha Martin Mary Matthew Maurice Michael Molly Nancy Nigel Nora Oliver Olivia Oscar
Pamela Patrick Paul Peter Philip Rachel Ralph Rebecca Robert Roger Rose Ruth Sally Sam Sarah Simon Sophie Stephen
Susan Thomas Victor Violet Walter William Zoe
"""
_PLACES = """
Aberdeen Africa America Athens Austria Belfast Berlin Birmingham Boston Brighton Bristol Canada Cardiff Chester
Chicago Denmark Derby Dover Dublin Durham Edinburgh Exeter Finland France Geneva Glasgow Greece Hamburg Iceland
India Ireland Italy Japan Jersey Kenya Leeds Lisbon Liverpool London Madrid Manchester Melbourne Mexico Moscow
Newcastle Norway Oxford Paris Peru Plymouth Poland Portugal Rome Scotland Sheffield Spain Sweden Sydney Texas Tokyo
Toronto Venice Vienna Wales
"""
_ADVERBS = """
angrily badly beautifully bitterly bravely briefly brightly calmly carefully cheaply cleverly coldly cruelly eagerly
early easily exactly faithfully fairly finally firmly foolishly formally gently gladly gratefully greatly happily
hardly heavily honestly hungrily kindly lately lightly loosely loudly luckily madly nearly neatly nervously noisily
openly patiently perfectly politely poorly properly proudly quickly quietly rarely really rudely sadly safely
secretly seriously sharply silently slowly smoothly softly soon steadily strangely strongly suddenly sweetly
terribly tightly truly usually warmly wisely yesterday
"""
NOUNS, VERBS, ADJECTIVES, ADVERBS = _NOUNS.split(), _VERBS.split(), _ADJECTIVES.split(), _ADVERBS.split()
NAMES, PLACES = _NAMES.split(), _PLACES.split()
DETERMINERS = "the the a this that my your our his her their every another".split()
PREPOSITIONS = "near behind above below beside before after with without under over through across around past".split()
MODALS = "will can could should would might must".split()
LINKS = ["and", "but", "while", "because", "before", "although", "so", "when"]
OPENINGS = ["today", "in the end", "last week", "of course", "by chance", "at first", "as usual", "once more"]
IRREGULAR = {"hide": "hid", "light": "lit", "show": "showed"}


def sentence(rng: np.random.Generator) -> str:
    """One sentence of about 4 to 20 words, drawn from `rng` alone."""
    form = rng.integers(6)
    if form == 0:
        text = f"{_clause(rng)}, {_pick(rng, LINKS)} {_clause(rng)}"
    elif form == 1:
        text = f"{_pick(rng, OPENINGS)}, {_clause(rng)}"
    elif form == 2:
        text = f"{_pick(rng, VERBS)} {_things(rng)} {_where(rng)}"
    elif form == 3:
        text = f"{_pick(rng, NAMES)}, {_pick(rng, NAMES)} and {_someone(rng)} {_past(_pick(rng, VERBS))} {_things(rng)}"
    elif form == 4:
        text = f"did {_someone(rng)} {_pick(rng, VERBS)} {_things(rng)}?"
    else:
        text = _clause(rng)
    text = text[0].upper() + text[1:]
    return text if text.endswith("?") else text + "."


def passage(rng: np.random.Generator, words: int) -> str:
    """Sentences with at least `words` words in all."""
    text = ""
    while len(text.split()) < words:
        text = f"{text} {sentence(rng)}".lstrip()
    return text


def _clause(rng: np.random.Generator) -> str:
    verb = _pick(rng, VERBS)
    tense = rng.random()
    if tense < 0.4:
        action = _past(verb)
    elif tense < 0.7:
        action = f"{_pick(rng, ADVERBS)} {_past(verb)}"
    else:
        action = f"{_pick(rng, MODALS)} {verb}"
    ending = f" {_where(rng)}" if rng.random() < 0.5 else ""
    return f"{_someone(rng)} {action} {_things(rng)}{ending}"


def _someone(rng: np.random.Generator) -> str:
    return _pick(rng, NAMES) if rng.random() < 0.35 else _singular(rng)


def _things(rng: np.random.Generator) -> str:
    choice = rng.random()
    if choice < 0.2:
        return f"{_number(int(rng.integers(2, 1000)))} {_plural(_pick(rng, NOUNS))}"
    if choice < 0.45:
        return f"the {_pick(rng, ADJECTIVES)} {_plural(_pick(rng, NOUNS))}"
    if choice < 0.6:
        return f"{_singular(rng)} and {_singular(rng)}"
    return _singular(rng)


def _singular(rng: np.random.Generator) -> str:
    words = [_pick(rng, DETERMINERS)]
    if rng.random() < 0.6:
        words.append(_pick(rng, ADJECTIVES))
    words.append(_pick(rng, NOUNS))
    if words[0] == "a" and words[1][0] in "aeiou":
        words[0] = "an"
    return " ".join(words)


def _where(rng: np.random.Generator) -> str:
    if rng.random() < 0.35:
        return f"in {_pick(rng, PLACES)}"
    return f"{_pick(rng, PREPOSITIONS)} {_singular(rng)}"


def _plural(noun: str) -> str:
    if noun == "thief":
        return "thieves"
    return _with_ending(noun, "es" if noun.endswith(("s", "x", "ch", "sh", "potato", "mango")) else "s")


def _past(verb: str) -> str:
    return IRREGULAR.get(verb) or _with_ending(verb[:-1] if verb.endswith("e") else verb, "ed")


def _with_ending(stem: str, ending: str) -> str:
    """The stem's last y becomes i after a consonant: cherry, cherries; carry, carried."""
    if stem.endswith("y") and stem[-2] not in "aeiou":
        return stem[:-1] + ("ies" if ending == "s" else "i" + ending)
    return stem + ending


def _number(value: int) -> str:
    """2 .. 999 in words."""
    small = (
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen"
    ).split()
    tens = "twenty thirty forty fifty sixty seventy eighty ninety".split()
    if value >= 100:
        rest = f" and {_number(value % 100)}" if value % 100 else ""
        return f"{small[value // 100]} hundred{rest}"
    if value >= 20:
        rest = f" {small[value % 10]}" if value % 10 else ""
        return tens[value // 10 - 2] + rest
    return small[value]


def _pick(rng: np.random.Generator, words: list[str]) -> str:
    return words[rng.integers(len(words))]
