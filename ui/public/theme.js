// Runs before the first paint, so that a pinned theme does not flash.
try {
  const theme = localStorage.getItem("clew.theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // no storage: the system's theme
}
