// Puts in what has changed of a rollout's page; keeps what is typed, what is open, and the focus.
(() => {
  const root = document.getElementById("rollout"), line = document.getElementById("line");
  if (!root.dataset.live || !window.EventSource) return;
  const marks = JSON.parse(root.dataset.marks), said = document.getElementById("said");

  const keep = (old, fresh) => {
    const twin = (each) => each.id && fresh.querySelector("#" + CSS.escape(each.id));
    for (const field of old.querySelectorAll("input:not([type=hidden]), textarea, select")) {
      const other = twin(field);
      if (!other) continue;
      if (field.type === "checkbox") other.checked = field.checked;
      else if (field.value !== field.defaultValue || "typed" in field.form.dataset) other.value = field.value;
    }
    for (const each of old.querySelectorAll("details")) {
      const other = twin(each);
      if (other) other.open = each.open;
    }
  };

  const put = (old, html) => {
    const made = document.createElement("template");
    made.innerHTML = html;
    const fresh = made.content.firstElementChild, at = document.activeElement;
    const inside = old.contains(at), place = inside && at.selectionStart;
    keep(old, fresh);
    old.replaceWith(fresh);
    if (!inside) return;
    const again = at.id && document.getElementById(at.id);
    const target = again && !again.disabled ? again : fresh;
    target.focus({ preventScroll: true });
    if (typeof place === "number" && target === again) again.setSelectionRange(place, at.selectionEnd);
  };

  const source = new EventSource(root.dataset.live);
  const tell = (text) => { line.textContent = text; };
  source.onopen = () => tell("This page is live.");
  source.onerror = () => tell(source.readyState === EventSource.CLOSED
    ? "This page is no longer live: reload it."
    : "The connection was lost; trying again …");
  source.addEventListener("part", (event) => {
    const { part, mark, html } = JSON.parse(event.data), old = document.getElementById(part);
    if (!old || marks[part] === mark) return;
    marks[part] = mark;
    put(old, html);
  });
  source.addEventListener("said", (event) => {
    const told = JSON.parse(event.data);
    if (said.textContent !== told.said) said.textContent = told.said;
    if (told.title) document.title = told.title;
  });
  source.addEventListener("end", () => {
    source.close();
    tell("It is over: nothing changes here any more.");
  });
})();
