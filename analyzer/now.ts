// The event that is being analysed, and who runs it: one object that all parts look at, written by the loop alone.

import type { TaskState } from "./order/task.ts";

export class Now {
  /** Index of the event. */
  index = 0;
  /** Its wide number: set for the rules alone. */
  wide = 0;
  /** Context; WORLD_CTX between steps. */
  ctx = -1;
  /** Component of the full order: the context, or under the task reading what runs in it (order/units.ts). */
  unit = -1;
  /** The event's task number. */
  taskId = 0;
  /** Its state; null for none (task 0). */
  task: TaskState | null = null;

  /** The task as an actor of the sanctioned order: 0 where tasks are not followed (edge kind "task-order" off). */
  get actor(): number {
    return this.task === null ? 0 : this.task.id;
  }
}
