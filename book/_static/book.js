// Outputs and formulas that are wider than the page scroll by themselves: let the keyboard reach
// them. (The theme does the same for code.)
window.addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  const boxes = document.querySelectorAll("div.cell_output, mjx-container[display]");
  const reach = () => boxes.forEach((box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  });
  reach();
  window.addEventListener("resize", reach);
});
