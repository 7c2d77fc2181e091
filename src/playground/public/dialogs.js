import { byId } from './dom.js';

// They submit nothing: Enter in a field presses the first button that does.
for (const button of document.querySelectorAll('dialog .cancel')) {
  button.addEventListener('click', () => button.closest('dialog')?.close());
}

/**
 * Shows a dialog and waits for its end.
 * @param {string} id
 * @returns {Promise<boolean>} whether what was entered is meant
 */
async function ask(id) {
  const dialog = byId(id, HTMLDialogElement);
  dialog.returnValue = '';
  if (!dialog.open) dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
  return dialog.returnValue === 'ok';
}

/**
 * @param {import('./preferences.js').Preferences} preferences
 * @param {string} [reason] why one is asked for, unless the user wants to enter one
 * @returns {Promise<boolean>} whether there is another key now
 */
export async function askForKey(
  preferences,
  reason = 'Needed only where the operator of this server handed out keys.',
) {
  const key = byId('key', HTMLInputElement);
  const keep = byId('keep-key', HTMLInputElement);
  byId('key-reason', HTMLElement).textContent = reason;
  key.value = preferences.key;
  keep.checked = preferences.isKeyKept;
  if (!(await ask('key-dialog'))) return false;
  preferences.setKey(key.value.trim(), keep.checked);
  return true;
}

/**
 * @param {import('./conversations.js').Conversation} conversation takes what was set
 * @returns {Promise<boolean>} whether something was
 */
export async function askForSettings(conversation) {
  const form = byId('settings-form', HTMLFormElement);
  const system = byId('system', HTMLTextAreaElement);
  const policies = [...form.querySelectorAll('input')];
  system.value = conversation.system;
  for (const input of policies) input.checked = input.value === conversation.policy;
  if (!(await ask('settings-dialog'))) return false;
  conversation.system = system.value;
  conversation.policy = policies.find(({ checked }) => checked)?.value ?? conversation.policy;
  return true;
}
