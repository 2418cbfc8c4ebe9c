"""Files that people have: opened by what they hold, sound and pictures on one time line. Without torch."""
