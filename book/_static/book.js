// Formulas that are wider than the page scroll by themselves: let the keyboard reach them.
// (The theme does the same for code, tables and figures.)
window.addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  const reach = () => document.querySelectorAll("mjx-container[display]").forEach((formula) => {
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
    else formula.removeAttribute("tabindex");
  });
  reach();
  window.addEventListener("resize", reach);
});
