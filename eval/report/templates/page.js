// Draws the figures, answers the budget sliders, keeps lips and spectrogram in step with the sound, sorts the table.
const DATA = JSON.parse(document.getElementById("data").textContent);

for (const [id, figure] of Object.entries(DATA.figures)) {
  Plotly.newPlot(id, figure.data, figure.layout, { responsive: true, displayModeBar: false });
}

// ---- Budget: what `ofa-avse query` answers to the limits that the sliders step through.
function unit(value) {
  const [size, name] = value >= 1e9 ? [1e9, " G"] : value >= 1e6 ? [1e6, " M"] : value >= 1e3 ? [1e3, " k"] : [1, ""];
  return Number((value / size).toPrecision(3)) + name;
}
const SHOW = { params: unit, rtf: (value) => value.toPrecision(2) };
const BUDGETS = Object.entries(DATA.limits).map(([key, limits]) => ({
  key,
  limits,
  plot: "plot-" + key,
  slider: document.getElementById("slider-" + key),
}));
// The last trace of a cost figure is the budget's answer.
const ring = (budget, x, y) =>
  Plotly.restyle(budget.plot, { x: [x], y: [y] }, [DATA.figures[budget.plot].data.length - 1]);
const costsOf = (row) => unit(row.params) + " parameters" + (row.rtf === undefined ? "" : ", RTF " + SHOW.rtf(row.rtf));

function answerBudget() {
  const place = BUDGETS.reduce((sum, budget) => sum * budget.limits.length + Number(budget.slider.value), 0);
  const found = DATA.answers[place];
  BUDGETS.forEach((budget) => {
    const limit = budget.limits[budget.slider.value];
    document.getElementById("limit-" + budget.key).textContent = SHOW[budget.key](limit);
  });
  const answer = document.getElementById("answer");
  if (!found) {
    answer.textContent = "No subnet fits both limits; move a slider to the right.";
    BUDGETS.forEach((budget) => ring(budget, [], []));
    return;
  }
  const [best, next] = found.slice(0, 2).map((number) => (number === null ? null : DATA.rows[number]));
  const ties = found[2];
  answer.innerHTML =
    `Best within the budget: <code class="name"><b>${best.subnet}</b></code>, <b>${best.si_snri.toFixed(2)}</b> ± ` +
    `${best.si_snri_se.toFixed(2)} dB with ${costsOf(best)}, ${unit(best.macs)} MACs a second. <span class="soft">` +
    (ties ? `${ties} more within it are no worse, by the same clips. ` : "") +
    (next
      ? `The next better one is <span class="name">${next.subnet}</span>: ` +
        `${(next.si_snri - best.si_snri).toFixed(2)} dB more for ${costsOf(next)}.`
      : "None of the others does better.") + "</span>";
  BUDGETS.forEach((budget) => ring(budget, [best[budget.key]], [best.si_snri]));
}
if (DATA.rows.length) {
  BUDGETS.forEach((budget) => {
    budget.slider.max = budget.limits.length - 1;
    const ofWinner = budget.limits.findLastIndex((cost) => cost <= DATA.winnerParams);
    budget.slider.value = budget.key === "params" ? ofWinner : budget.slider.max;
    budget.slider.addEventListener("input", answerBudget);
  });
  answerBudget();
}

// ---- Examples: one sound at a time; the lips' frame and the line in the spectrogram follow its clock.
function showLips(lips, seconds) {
  const { frames, columns, rows } = lips.dataset;
  const frame = Math.min(Math.floor(seconds * DATA.frameRate), frames - 1);
  const place = (index, count) => (count > 1 ? (100 * index) / (count - 1) : 0) + "%";
  lips.style.backgroundPosition = place(frame % columns, columns) + " " + place(Math.floor(frame / columns), rows);
}
document.querySelectorAll(".example").forEach((example) => {
  const lips = example.querySelector(".lips");
  example.querySelectorAll(".signal").forEach((signal) => {
    const audio = signal.querySelector("audio");
    const spectrogram = signal.querySelector(".spectrogram");
    const line = spectrogram.querySelector("i");
    const follow = () => {
      line.style.display = "block";
      line.style.left = (100 * audio.currentTime) / audio.duration + "%";
      showLips(lips, audio.currentTime);
      if (!audio.paused) requestAnimationFrame(follow);
    };
    audio.addEventListener("play", () => {
      document.querySelectorAll("audio").forEach((other) => other !== audio && other.pause());
      follow();
    });
    audio.addEventListener("seeked", follow);
    spectrogram.addEventListener("click", (event) => {
      const box = spectrogram.getBoundingClientRect();
      audio.currentTime = ((event.clientX - box.left) / box.width) * audio.duration;
      audio.play();
    });
  });
});

// ---- The table of all subnets: a click on a heading sorts by it, another turns the order round.
document.querySelectorAll("table.sortable").forEach((table) => {
  const headings = [...table.querySelectorAll("thead th")];
  headings.forEach((heading, column) =>
    heading.addEventListener("click", () => {
      const order = heading.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const value = (row) => row.cells[column].dataset.value;
      const compare = (a, b) => (isNaN(value(a)) ? value(a).localeCompare(value(b)) : value(a) - value(b));
      const rows = [...table.tBodies[0].rows].sort((a, b) => (order === "ascending" ? compare(a, b) : compare(b, a)));
      table.tBodies[0].append(...rows);
    }));
});
