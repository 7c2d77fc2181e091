import { readdirSync, readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { now } from './clock.js';

/** What the kernel accounts on: clock ticks of 10 ms. */
const TICK_MS = 10;

/** A process and all its descendants. */
export function family(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(family)];
}

/** CPU time that processes have used, with all their threads, in milliseconds. */
export function cpuMs(pids: number[]): number {
  return sum(pids.flatMap((pid) => threads(pid).map((thread) => threadMs(pid, thread))));
}

/** Resident memory of processes, in kB. */
export function rssKb(pids: number[]): number {
  return sum(pids.map((pid) => Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1])));
}

export interface BoxTimes {
  /** Time in programs and in the kernel on their behalf, of all cores, in milliseconds. */
  busyMs: number;
  idleMs: number;
  stealMs: number;
}

export function boxTimes(): BoxTimes {
  const line = /^cpu +(.*)$/m.exec(read('/proc/stat'))![1]!;
  const [user, nice, system, idle, iowait, , , steal] = line
    .split(' ')
    .map((ticks) => Number(ticks) * TICK_MS);
  return { busyMs: user! + nice! + system!, idleMs: idle! + iowait!, stealMs: steal! };
}

/** The box, and the bench with all that it has started, until now. */
export interface BoxLook extends BoxTimes {
  at: number;
  benchMs: number;
}

export function lookAtBox(): BoxLook {
  return { at: now(), benchMs: cpuMs(family(process.pid)), ...boxTimes() };
}

/** What became of the box's time between two looks, in cores. */
export function boxLoads(before: BoxLook, after: BoxLook) {
  const elapsedMs = after.at - before.at;
  const benchMs = after.benchMs - before.benchMs;
  return {
    foreignLoad: Math.max(0, after.busyMs - before.busyMs - benchMs) / elapsedMs,
    stealLoad: (after.stealMs - before.stealMs) / elapsedMs,
    idle: (after.idleMs - before.idleMs) / elapsedMs,
  };
}

export function describeBox(): string {
  const cpus = read('/proc/cpuinfo').match(/^model name\s*: (.*)$/gm) ?? [];
  const model = cpus[0]?.replace(/^.*: /, '') ?? 'unknown CPU';
  const load = loadavg()
    .map((value) => value.toFixed(2))
    .join(' ');
  return `${cpus.length} × ${model}, Node ${process.versions.node}, ${process.platform}, load ${load}`;
}

/** By the scheduler, to the nanosecond. */
function threadMs(pid: number, thread: string): number {
  return Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0]) / 1e6;
}

function threads(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
