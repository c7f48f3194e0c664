// Elements are made by name, and text is only ever put in as text.
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "on") for (const [event, listen] of Object.entries(value)) made.addEventListener(event, listen);
    else if (key === "style") for (const [property, amount] of Object.entries(value)) made.style.setProperty(property, amount);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

function byId(id) { return document.getElementById(id); }
function replace(id, ...children) { byId(id).replaceChildren(...children.flat(Infinity).filter(Boolean)); }

function drawn(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Buttons of which one is pressed.
function choice(label, options, chosen, choose) {
  const buttons = options.map(([value, text, title]) => element("button", {
    type: "button", "aria-pressed": String(value === chosen), "data-value": value, title,
    on: { click: () => { press(value); choose(value); } },
  }, text));
  function press(value) {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.value === value));
  }
  return element("span", { class: "choice", role: "group", "aria-label": label }, buttons);
}

function swatch(colour, isLine) {
  return element("i", { class: isLine ? "swatch line" : "swatch", style: { background: colour } });
}

function showTip(x, y, ...children) {
  const tip = byId("tip");
  tip.replaceChildren(...children.flat(Infinity));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = Math.max(8, Math.min(x + 14, innerWidth - width - 8)) + "px";
  tip.style.top = (y + height + 26 > innerHeight ? Math.max(8, y - height - 12) : y + 18) + "px";
}

function hideTip() { byId("tip").hidden = true; }

// One of the fixed words; the tone is bad, fine or none.
function wordElement(word, tone) { return element("span", { class: "word " + tone }, word); }
