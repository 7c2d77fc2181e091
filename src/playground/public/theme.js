// Not a module: the page must not be painted in the wrong colours first.
(() => {
  try {
    document.documentElement.dataset.theme = localStorage.getItem('sluice.theme') ?? 'system';
  } catch {
    // Without storage it is the system's.
  }
})();
