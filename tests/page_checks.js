// What a test asks a page of the book. Each function returns a list of complaints.
window.pageChecks = (() => {
  const article = () => document.querySelector("article") || document.body;
  const seen = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const named = (element) => {
    const text = element.outerHTML.replace(/(src|srcset|href)="[^"]{60,}"/g, '$1="…"');
    return text.length > 160 ? `${text.slice(0, 160)}…` : text;
  };

  // ---------------------------------------------------------------- layout

  // Everything that is folded, so that what is inside is checked as well.
  const unfold = () => {
    document.querySelectorAll("details").forEach((box) => (box.open = true));
    document.getAnimations().forEach((fading) => fading.finish());
  };

  // Whether an ancestor scrolls, or cuts off, what is too wide.
  const contained = (element) => {
    for (let box = element.parentElement; box && box !== document.body; box = box.parentElement) {
      if (getComputedStyle(box).overflowX !== "visible") return true;
    }
    return false;
  };

  const overflow = () => {
    const width = document.documentElement.clientWidth;
    const wide = document.scrollingElement.scrollWidth;
    if (wide <= width + 1) return [];  // fractions of a pixel round up
    const guilty = [...document.body.querySelectorAll("*")].filter(
      (e) => seen(e) && e.getBoundingClientRect().right > width + 1 && !contained(e));
    const inner = guilty.filter((e) => !guilty.some((other) => other !== e && e.contains(other)));
    return [`${wide} px wide on a screen of ${width}: ${inner.slice(0, 3).map(named).join(" ")}`];
  };

  const bytes = () => [
    ...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource"),
  ].reduce((sum, entry) => sum + entry.decodedBodySize, 0);

  // ---------------------------------------------------------------- colours

  const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colors = new Map();
  const rgba = (text) => {
    if (!colors.has(text)) {
      brush.clearRect(0, 0, 1, 1);
      brush.fillStyle = text;
      brush.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
      colors.set(text, [r, g, b, a / 255]);
    }
    return colors.get(text);
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const luminance = (color) => {
    const [r, g, b] = color.map((v) => v / 255).map(
      (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };

  // The colour behind an element's text: of all backgrounds up to the first that is opaque.
  const behind = (element, known) => {
    if (!element) return [255, 255, 255];
    if (!known.has(element)) {
      const own = rgba(getComputedStyle(element).backgroundColor);
      known.set(element, own[3] === 1 ? own.slice(0, 3) : over(own, behind(element.parentElement, known)));
    }
    return known.get(element);
  };

  const opacity = (element) =>
    element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1;

  // WCAG 2, level AA: 4.5 to 1, and 3 to 1 for large text.
  const contrast = () => {
    const known = new Map(), found = new Map();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode()); ) {
      const element = node.parentElement;
      if (!node.data.trim() || element.closest("script, style, noscript, mjx-assistive-mml")) continue;
      if (!seen(element)) continue;
      const style = getComputedStyle(element);
      const below = behind(element, known);
      const [r, g, b, a] = rgba(style.color);
      const ink = over([r, g, b, a * opacity(element)], below);
      const [light, dark] = [luminance(ink), luminance(below)].sort((x, y) => y - x);
      const ratio = (light + 0.05) / (dark + 0.05);
      const size = parseFloat(style.fontSize);
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      const key = `${style.color} on rgb(${below.map(Math.round)})`;
      if (ratio < (large ? 3 : 4.5) && !found.has(key)) {
        found.set(key, `contrast ${ratio.toFixed(2)}, ${key}: ${JSON.stringify(node.data.trim().slice(0, 40))}`);
      }
    }
    return [...found.values()];
  };

  // A picture with clear parts is drawn for a light page, so it needs paper of its own.
  const paper = () => [...article().querySelectorAll("img")].filter((image) => {
    if (!seen(image) || !image.naturalWidth) return false;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 32;
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0, 32, 32);
    const clear = context.getImageData(0, 0, 32, 32).data.some((v, i) => i % 4 === 3 && v < 250);
    const own = rgba(getComputedStyle(image).backgroundColor);
    return clear && (own[3] < 1 || luminance(own.slice(0, 3)) < 0.5);
  }).map((image) => `clear parts without a light background in the dark: ${named(image)}`);

  // ---------------------------------------------------------------- math

  const math = () => {
    const complaints = [...document.querySelectorAll(".math")]
      .filter((box) => !box.querySelector("mjx-container")).map((box) => `math not set: ${named(box)}`);
    document.querySelectorAll("mjx-merror, [data-mjx-error]").forEach(
      (box) => complaints.push(`math with an error: ${box.textContent}`));
    const walker = document.createTreeWalker(article(), NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode()); ) {
      if (node.parentElement.closest("script, style, code, pre, mjx-container, .math")) continue;
      if (/\\\(|\\\[|\$[^$\s][^$]*\$/.test(node.data)) complaints.push(`raw math: ${node.data.trim().slice(0, 60)}`);
    }
    return complaints;
  };

  // ---------------------------------------------------------------- pictures in words

  const words = () => {
    const texts = new Map();
    const complaints = [];
    for (const image of article().querySelectorAll("img, svg[role=img], figure[role=img]")) {
      const text = (image.getAttribute("alt") ?? image.getAttribute("aria-label")
        ?? image.querySelector("title")?.textContent ?? "").trim();
      if (image.closest("[aria-hidden=true]")) continue;
      if (image.closest(".only-dark")) continue; // the logo again, in the other colours
      // On a card that says in words what it leads to, a picture is an ornament.
      if (image.alt === "" && image.closest(".sd-card")?.innerText.trim()) continue;
      if (text.length < 12 || /\.(png|webp|svg|jpe?g)$/i.test(text)) {
        complaints.push(`picture without words that say what it shows, "${text}": ${named(image)}`);
      } else if (texts.has(text)) {
        complaints.push(`two pictures in the same words: "${text}"`);
      }
      texts.set(text, image);
    }
    return complaints;
  };

  // ---------------------------------------------------------------- keyboard

  const CONTROLS = "a[href], button, input, select, textarea, summary, video[controls], "
    + "[role=button], [role=slider], [role=switch], [role=tab], [onclick]";

  // What a pointer can use and no other element stands for.
  const controls = () => [...document.body.querySelectorAll(CONTROLS)].filter((element) =>
    seen(element) && element.getClientRects().length && !element.disabled
    && element.type !== "hidden" && !element.closest("[inert]")
    && !(element.type === "radio" && !element.checked)
    && !(element.getAttribute("role") === "tab" && element.getAttribute("aria-selected") === "false"));

  // Before a walk by the Tab key, which begins at the top; during it; and after it.
  const watchFocus = () => {
    window.scrollTo(0, 0);
    window.pageControls = controls();
    window.pageReached = new Set();
    document.addEventListener("focusin", (event) => window.pageReached.add(event.target), true);
    window.pageControls[0]?.focus();
  };
  const reached = () => window.pageReached.size;
  const unreached = () => window.pageControls
    .filter((element) => !window.pageReached.has(element))
    .map((element) => `not reached by Tab: ${named(element)}`);

  // The box around a slider that holds its picture.
  const stage = (slider) => {
    const picture = (box) => [...box.querySelectorAll("img, svg, canvas")].some(seen);
    let box = slider.parentElement;
    while (box.parentElement && !picture(box)) box = box.parentElement;
    return box;
  };

  return { unfold, overflow, bytes, contrast, paper, math, words, watchFocus, reached, unreached, stage };
})();
