// Lets a long name in a table continue on the next line, after a dot, a comma or an underscore.
document.addEventListener("DOMContentLoaded", () => {
  for (const code of document.querySelectorAll("td code")) {
    if (code.textContent.length < 24 || code.children.length) continue;
    const parts = code.textContent.split(/(?<=[._,(/=])(?=\w)/);
    code.replaceChildren(...parts.flatMap((part) => [part, document.createElement("wbr")]));
  }
});
