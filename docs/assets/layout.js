// Lets a long name continue on the next line, after a dot, a comma or an underscore.
document.addEventListener("DOMContentLoaded", () => {
  for (const code of document.querySelectorAll("td code, p code, li code")) {
    if (code.textContent.length < 24 || code.children.length) continue;
    const parts = code.textContent.split(/(?<=[._,(/=])(?=\w)/);
    code.replaceChildren(...parts.flatMap((part) => [part, document.createElement("wbr")]));
  }
});

// Shows the current page in a long menu, which the theme does from 1,220 pixels on.
document.addEventListener("DOMContentLoaded", () => {
  const menu = document.querySelector(".md-sidebar--primary .md-sidebar__scrollwrap");
  const current = menu?.querySelector("a.md-nav__link--active");
  if (!current || !matchMedia("(min-width: 62.5em) and (max-width: 76.234375em)").matches) return;
  const offset = current.getBoundingClientRect().top - menu.getBoundingClientRect().top;
  menu.scrollTop = offset - menu.clientHeight / 2;
});
