import { Answering } from './answering.js';
import { Api, ApiError } from './api.js';
import { CodeDialog } from './code-dialog.js';
import { Composer } from './composer.js';
import {
  ask,
  chatRequest,
  Conversations,
  isAhead,
  isAsFarAs,
  newConversation,
} from './conversations.js';
import { askForKey, askForSettings } from './dialogs.js';
import { byId } from './dom.js';
import { wordsFor } from './error-words.js';
import { FiguresView, tokensOf } from './figures-view.js';
import { intro } from './intro.js';
import { Network } from './network.js';
import { Preferences } from './preferences.js';
import { SidebarView } from './sidebar-view.js';
import { storage } from './storage.js';
import { setUpThemeButton } from './theme-button.js';
import { ThreadView } from './thread-view.js';

/**
 * @typedef {import('./conversations.js').Conversation} Conversation
 * @typedef {import('./conversations.js').Turn} Turn
 */

const preferences = new Preferences();
const network = new Network();
const api = new Api(network, () => preferences.key);
const conversations = new Conversations(storage('localStorage'));

/** The answers on their way, by their conversation's id. @type {Map<string, Answering>} */
const answerings = new Map();
/** @type {string[]} */
let models = [];
/** The question that the next one replaces. @type {Turn | undefined} */
let edited;
/** What was being written before that question. */
let draft = '';
let current = newConversation(preferences);
let isFrameAsked = false;

const status = byId('status', HTMLElement);
const composer = new Composer();
const figures = new FiguresView();
const codeDialog = new CodeDialog();
const thread = new ThreadView({
  onAgain: again,
  onEdit: edit,
  onKey: (turn) => void enterKeyFor(turn),
});
const sidebar = new SidebarView({ onOpen: reopen, onRename: rename, onDelete: remove });

/** @param {string} text read out to whoever can't see it */
function announce(text) {
  status.textContent = text;
}

/** @param {Conversation} conversation */
function isAnswering({ id }) {
  return answerings.get(id)?.answer.status === 'pending';
}

function showSidebar() {
  sidebar.show(conversations.list(), current, isAnswering);
  const title = current.title || 'New conversation';
  byId('title', HTMLElement).textContent = title;
  document.title = current.title ? `${title} – Sluice` : 'Sluice';
}

function showRoom() {
  byId('no-room', HTMLElement).hidden = conversations.hasRoomFor(current.id);
}

/** @param {Conversation} conversation */
function open(conversation) {
  try {
    show(conversation);
  } catch (error) {
    // Another version of the page may have kept it in another form.
    console.warn(error);
    announce('This conversation can’t be shown.');
    show(newConversation(preferences));
  }
}

/** @param {string} id */
function reopen(id) {
  open(conversations.get(id) ?? newConversation(preferences));
}

/** @param {Conversation} conversation */
function show(conversation) {
  current = conversation;
  keepTurns();
  composer.model = conversation.model;
  composer.isAnswering = isAnswering(conversation);
  thread.show(
    conversation,
    intro(models, (model, question) => {
      composer.model = model;
      setModel();
      send(question);
      composer.focus();
    }),
  );
  figures.show(conversation.turns.at(-1)?.answer);
  showSidebar();
  showRoom();
  const panel = byId('sidebar', HTMLElement);
  if (panel.matches(':popover-open')) panel.hidePopover();
}

/** @param {string} question */
function send(question) {
  if (edited) dropFrom(edited);
  keepTurns();
  const turn = ask(current, question);
  thread.add(turn);
  answer(current, turn);
}

/** @param {Turn} turn */
function again(turn) {
  // What came after it would be lost without a word.
  if (isAnswering(current) || turn !== current.turns.at(-1) || catchUp()) return;
  keepTurns();
  dropFrom(turn);
  send(turn.question);
  composer.focus();
}

/** @param {Turn} turn */
function edit(turn) {
  if (isAnswering(current)) return;
  if (!edited) draft = composer.text;
  edited = turn;
  composer.isEditing = true;
  composer.text = turn.question;
  composer.focus();
}

/** Nothing is replaced any more by what is sent. */
function keepTurns() {
  if (edited) composer.text = draft;
  edited = undefined;
  composer.isEditing = false;
}

/** @param {Turn} turn */
function dropFrom(turn) {
  current.turns.splice(current.turns.indexOf(turn));
  thread.drop(current);
}

/**
 * Shows what another tab asked here meanwhile, which would be lost otherwise.
 * @returns {boolean} whether it did
 */
function catchUp() {
  const other = conversations.get(current.id);
  if (!other || !isAhead(other, current)) return false;
  open(other);
  follow(other);
  announce('Something else was asked here in another tab.');
  return true;
}

/**
 * Goes on with what was not at its end when it was kept.
 * @param {Conversation} conversation
 */
function follow(conversation) {
  // One that was stopped may have had another asked after it.
  for (const turn of conversation.turns) {
    if (turn.answer.status === 'pending' || turn.answer.isStopDue) answer(conversation, turn);
  }
}

/**
 * @param {Conversation} conversation
 * @param {Turn} turn
 */
function answer(conversation, turn) {
  const save = () => {
    conversations.save(conversation);
    showRoom();
  };
  const answering = new Answering({ api, conversation, turn, save });
  answerings.set(conversation.id, answering);
  answering.addEventListener('change', () => askForFrame());
  answering.addEventListener('lost', () => announce('The connection is lost.'));
  answering.addEventListener('found', () =>
    announce('The connection is back, and the answer goes on.'),
  );
  answering.addEventListener('end', () => end(answering));
  void answering.run();
  showSidebar();
  if (!isAnswering(conversation)) return;
  if (conversation === current) composer.isAnswering = true;
  announce('The answer is being written.');
}

/** @param {Answering} answering */
function end(answering) {
  const {
    conversation,
    turn,
    answer: { status: how, failure, figures: measured },
  } = answering;
  if (answerings.get(conversation.id) === answering) answerings.delete(conversation.id);
  showSidebar();
  if (conversation !== current) return;
  thread.update(answering);
  figures.show(current.turns.at(-1)?.answer);
  composer.isAnswering = isAnswering(current);
  if (how === 'done') announce(`The answer is complete: ${tokensOf(String(measured.tokens))}.`);
  if (how === 'stopped') announce('The answer was stopped.');
  if (!failure) return;
  const { title, advice } = wordsFor(failure.code);
  announce(`${title}. ${advice}`);
  if (failure.code === 'invalid_api_key') void enterKeyFor(turn, whyKey());
}

function stop() {
  answerings.get(current.id)?.stop();
}

/** Shows what is new once a frame, however much came. */
function askForFrame() {
  if (isFrameAsked) return;
  isFrameAsked = true;
  requestAnimationFrame(() => {
    isFrameAsked = false;
    const answering = answerings.get(current.id);
    if (!answering) return;
    thread.update(answering);
    figures.grow(answering.answer);
    composer.isAnswering = isAnswering(current);
    if (isAnswering(current)) askForFrame();
  });
}

/**
 * @param {string} id
 * @param {string} title
 */
function rename(id, title) {
  const conversation = conversations.get(id);
  if (conversation) conversations.save(Object.assign(conversation, { title }));
  showSidebar();
}

/**
 * @param {string} id
 * @param {string} title
 */
function remove(id, title) {
  answerings.get(id)?.stop();
  conversations.remove(id);
  announce(`${title} was deleted.`);
  if (id === current.id) {
    open(newConversation(preferences));
    composer.focus();
  } else {
    showSidebar();
    byId('new', HTMLElement).focus();
  }
}

function setModel() {
  current.model = composer.model;
  preferences.model = composer.model;
}

/**
 * Asks for a key until the server takes it, or nobody enters one.
 * @param {string} [reason]
 * @returns {Promise<boolean>} whether the server takes it
 */
async function enterKey(reason) {
  return (await askForKey(preferences, reason)) && loadModels();
}

/**
 * Asks for a key, and with that again what was refused without it.
 * @param {Turn} turn
 * @param {string} [reason]
 */
async function enterKeyFor(turn, reason) {
  // What had begun is left as it came.
  const isRefused = turn.answer.cursor.runId === '';
  if ((await enterKey(reason)) && isRefused && current.turns.includes(turn)) again(turn);
}

function whyKey() {
  return preferences.key === ''
    ? 'This server answers only with an API key.'
    : 'This server did not accept the key that was entered.';
}

/** @returns {Promise<boolean>} whether the server answered */
async function loadModels() {
  try {
    models = await api.models();
  } catch (error) {
    const { title } = wordsFor(error instanceof ApiError ? error.code : 'unreachable');
    announce(title);
    if (models.length === 0) composer.offerNone();
    return isAboutKey(error) && enterKey(whyKey());
  }
  composer.offer(models);
  composer.model = current.model;
  if (current.turns.length === 0) open(current);
  return true;
}

/** @param {unknown} error */
function isAboutKey(error) {
  return error instanceof ApiError && error.code === 'invalid_api_key';
}

async function changeSettings() {
  if (!(await askForSettings(current))) return;
  preferences.policy = current.policy;
  if (current.turns.length > 0) conversations.save(current);
}

composer.addEventListener('send', () => {
  if (catchUp()) return;
  const question = composer.text;
  composer.text = '';
  send(question);
});
composer.addEventListener('stop', stop);
composer.addEventListener('keep', keepTurns);
composer.addEventListener('model', setModel);
conversations.addEventListener('change', (event) => {
  const { detail: id } = /** @type {CustomEvent<string>} */ (event);
  // What another tab said in the same conversation is taken over once it has been answered.
  const other = id === current.id ? conversations.get(id) : undefined;
  const isPending = other?.turns.at(-1)?.answer.status === 'pending';
  if (other && !isPending && !isAnswering(current)) {
    // What came here too stays as it was measured here.
    if (isAsFarAs(other, current)) other.turns = current.turns;
    open(other);
  } else showSidebar();
});

byId('new', HTMLElement).addEventListener('click', () => {
  open(newConversation(preferences));
  composer.focus();
});
byId('open-key', HTMLElement).addEventListener('click', () => void enterKey());
byId('open-settings', HTMLElement).addEventListener('click', () => void changeSettings());
byId('open-code', HTMLElement).addEventListener('click', () => {
  const before = composer.text.trim() ? current.turns : current.turns.slice(0, -1);
  const question = composer.text.trim() || current.turns.at(-1)?.question || 'やっほ';
  codeDialog.open({
    base: api.base.href,
    request: chatRequest(current, before, question),
    policy: current.policy,
    hasKey: preferences.key !== '',
  });
});
const networkSwitch = byId('network', HTMLButtonElement);
networkSwitch.addEventListener('click', () => {
  network.isOn = !network.isOn;
  networkSwitch.setAttribute('aria-checked', String(network.isOn));
});

setUpThemeButton(preferences);
// A reload shows what was on screen, which may be one that nothing was asked in.
if (preferences.openId === '') open(conversations.list()[0] ?? current);
else reopen(preferences.openId);
composer.text = preferences.draft;
conversations.list().forEach(follow);
document.addEventListener('visibilitychange', () => {
  preferences.openId = current.id;
  preferences.draft = edited ? draft : composer.text;
});
composer.focus();
performance.mark('interactive');
void loadModels();
