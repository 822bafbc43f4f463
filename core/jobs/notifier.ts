// Lists of listeners (C: NotifierList), typed by what they are told.

import { assert } from "../base/index.ts";

/** Told of `T`; runs straight through, with job_mutex held. */
export type Notifier<T> = (what: T) => undefined;

/** C: NotifierList. */
export class NotifierList<T> {
  readonly notifiers: Notifier<T>[] = [];
}

/** notifier_list_add: the newest is told first, as in QEMU. Common. */
export function notifierListAdd<T>(list: NotifierList<T>, notifier: Notifier<T>): void {
  assert(!list.notifiers.includes(notifier), "a listener listens once");
  list.notifiers.unshift(notifier);
}

/** notifier_remove. Common. */
export function notifierRemove<T>(list: NotifierList<T>, notifier: Notifier<T>): void {
  const at = list.notifiers.indexOf(notifier);
  assert(at >= 0, "who is removed has listened");
  list.notifiers.splice(at, 1);
}

/** notifier_list_notify: tell all of them; one may remove itself meanwhile. Common. */
export function notifierListNotify<T>(list: NotifierList<T>, what: T): void {
  for (const notifier of [...list.notifiers]) notifier(what);
}
