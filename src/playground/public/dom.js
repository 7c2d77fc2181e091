/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number | boolean | (() => void) | ((event: Event) => void)>} [properties] of the element, and attributes where it has none of that name
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) Reflect.set(element, name, value);
    else element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/**
 * An element of the page that is always there.
 * @template {HTMLElement} E
 * @param {string} id
 * @param {new () => E} type
 * @returns {E}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`there is no ${type.name} #${id}`);
  return element;
}

/**
 * @param {string} name of a symbol of the page
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

/**
 * A button with an icon and a name, which is shown beside it or read out only.
 * @param {string} iconName
 * @param {string} name
 * @param {(event: Event) => void} onClick
 * @param {{ isQuiet?: boolean }} [options]
 */
export function iconButton(iconName, name, onClick, { isQuiet = false } = {}) {
  const label = h('span', { className: isQuiet ? 'visually-hidden' : '' }, name);
  const className = isQuiet ? 'button quiet square' : 'button quiet';
  const button = h(
    'button',
    { type: 'button', className, onclick: onClick },
    icon(iconName),
    label,
  );
  if (isQuiet) button.title = name;
  return button;
}
