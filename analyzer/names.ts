// Numbers of a trace to what people call them: sites, objects, sections, requests.

import { printable } from "#core/base";
import {
  DRAIN_KINDS,
  EDGE_KLASSES,
  Ev,
  LIST_KINDS,
  List,
  LOCK_KINDS,
  REQUEST_TYPES,
  type Site,
  TRAN_PHASES,
} from "#core/probe";
import type { AccessDraft, SectionDraft } from "./drafts.ts";
import {
  type Access,
  type ListName,
  type LuckKind,
  type LuckyEdge,
  NO_SITE,
  type Operation,
  type OwnerRef,
  type SectionRef,
} from "./findings.ts";
import type { EdgeInfo, Graph, Holdable } from "./model/graph.ts";
import type { Operations } from "./model/operations.ts";
import type { Section } from "./model/sections.ts";
import { type Label, labelId, labelKind } from "./order/full.ts";
import { type RequestText, WRAPPER_TASK } from "./order/task.ts";

/** A site whose names may be printed. */
export function printableSite(site: Site): Site {
  return { ...site, name: printable(site.name), file: printable(site.file) };
}

/** Whatever it calls things by may be printed, whoever wrote the trace. */
export class Names {
  readonly #sites: readonly Site[];
  readonly #strings: readonly string[];
  readonly #graph: Graph;
  readonly #operations: Operations;
  readonly #siteByName: ReadonlyMap<string, Site>;

  constructor(
    sites: readonly Site[],
    strings: readonly string[],
    graph: Graph,
    operations: Operations,
  ) {
    this.#sites = sites.map(printableSite);
    this.#strings = strings;
    this.#graph = graph;
    this.#operations = operations;
    this.#siteByName = new Map(this.#sites.map((site) => [site.name, site]));
  }

  site(id: number): Site {
    return this.#sites[id - 1] ?? NO_SITE;
  }

  string(id: number): string {
    return printable(this.#strings[id] ?? "");
  }

  list(list: number): ListName | null {
    const word = LIST_KINDS[list];
    return word === undefined || word === "none" ? null : word;
  }

  ctx(id: number): string {
    return this.string(this.#graph.ctxNames.get(id) ?? 0) || (id === 0 ? "main" : `context ${id}`);
  }

  holdable(object: Holdable): OwnerRef {
    return { kind: object.kind, id: object.id, name: this.string(object.name) };
  }

  edge(edge: EdgeInfo): OwnerRef {
    return { kind: "edge", id: edge.id, name: this.string(edge.name) };
  }

  /** The frames of `chain`, innermost first. */
  operations(chain: number): Operation[] {
    return this.#operations.framesOf(chain).map(({ ref, phase }) => {
      const word = TRAN_PHASES[phase];
      if (word === undefined) return { ...this.site(ref), phase: "" };
      const name = `${this.string(ref)}_${word}`;
      return { ...(this.#siteByName.get(name) ?? { name, file: "", line: 0 }), phase: word };
    });
  }

  /** The outermost graph operation of `chain`; `site` itself when there is none. */
  outermost(chain: number, site: number): Site {
    const frame = this.#operations.framesOf(chain).findLast(({ phase }) => phase < 0);
    return frame === undefined ? this.site(site) : this.site(frame.ref);
  }

  section({ section, state }: SectionDraft): SectionRef {
    const kind = DRAIN_KINDS[section.kind];
    return {
      id: section.id,
      kind: kind === undefined || kind === "none" ? "single" : kind,
      node: section.node === null ? null : this.holdable(section.node),
      site: this.site(section.site),
      state,
      begin: section.begin,
    };
  }

  /** "the subtree drain of node 'top' by bdrv_append". */
  sectionText(section: Section): string {
    const kind = DRAIN_KINDS[section.kind] ?? "none";
    const by = this.site(section.site).name;
    if (section.node === null) return `the drain of everything by ${by}`;
    const what = kind === "subtree" ? "subtree drain" : "drain";
    return `the ${what} of ${this.objectText(section.node)} by ${by}`;
  }

  /** "node 'top'" or "BlockBackend 3". */
  objectText(object: Holdable): string {
    const kind = object.kind === "blk" ? "BlockBackend" : object.kind;
    const name = this.string(object.name);
    return name === "" ? `${kind} ${object.id}` : `${kind} '${name}'`;
  }

  /** "children of node 'top'", "bs of edge 5 ('file' of node 'top')". */
  listText(list: number, owner: Holdable | null, edge: EdgeInfo | null): string {
    const whose = owner === null ? "" : this.objectText(owner);
    if (list === List.edge_bs)
      return edge === null
        ? `bs of an edge of ${whose}`
        : `bs of edge '${this.string(edge.name)}' of ${whose}`;
    if (list === List.blk_root) return `root of ${whose}`;
    return `${LIST_KINDS[list]} of ${whose}`;
  }

  /** "write of 4096 bytes at 0 on BlockBackend 'drive0'". */
  requestText(request: RequestText | null, task: number): string {
    if (request === null || request.type === 0) return `task ${task}`;
    const word = REQUEST_TYPES[request.type] ?? "request";
    const size = request.bytes > 0 ? ` of ${request.bytes} bytes at ${request.offset}` : "";
    const on = request.blk === 0 ? "" : ` on ${this.#blkText(request.blk)}`;
    return `${word}${size}${on} (task ${task})`;
  }

  /** A BlockBackend that may be gone. */
  #blkText(id: number): string {
    const name = this.string(this.#graph.blkNames.get(id) ?? 0);
    return name === "" ? `BlockBackend ${id}` : `BlockBackend '${name}'`;
  }

  taskText(access: AccessDraft): string {
    if (access.task > WRAPPER_TASK) return "a coroutine that its drainer waits for";
    if (access.task !== 0) return this.requestText(access.request, access.task);
    return access.ctx === 0 ? "main context" : "no task";
  }

  access(access: AccessDraft): Access {
    return {
      what: access.what,
      event: access.index,
      ctx: access.ctx,
      ctxName: this.ctx(access.ctx),
      task: access.task,
      taskText: this.taskText(access),
      site: this.site(access.site),
      detail: access.what === "read" ? "" : this.editText(access),
      operations: this.operations(access.chain),
      sectionsOpen: access.sections.map((section) => this.section(section)),
    };
  }

  editText(access: AccessDraft): string {
    const { edge, kind, value } = access;
    const what =
      edge === null
        ? "an edge"
        : `edge '${this.string(edge.name)}' (${EDGE_KLASSES[edge.klass] ?? ""})`;
    if (kind === Ev.list_insert) return `inserts ${what}`;
    if (kind === Ev.list_remove) return `removes ${what}`;
    return value === 0 ? "sets it to null" : "sets it";
  }

  /** "lock 'iothread0'", "co_mutex 4". */
  lock(id: number): string {
    const lock = this.#graph.lockNames.get(id);
    const name = this.string(lock?.name ?? 0);
    if (name !== "") return `lock '${name}'`;
    const kind = lock === undefined || lock.kind === 0 ? undefined : LOCK_KINDS[lock.kind];
    return `${kind ?? "lock"} ${id}`;
  }

  luck(label: Label): LuckyEdge {
    const kind: LuckKind =
      labelKind(label) === "same-thread" ? "same thread" : (labelKind(label) as LuckKind);
    const id = labelId(label);
    if (kind === "same thread") return { kind, name: this.ctx(id) };
    if (kind !== "lock") return { kind, name: "" };
    if (id === 0) return { kind, name: "graph lock" };
    const lock = this.#graph.lockNames.get(id);
    return {
      kind,
      name: lock === undefined ? `lock ${id}` : this.string(lock.name) || `lock ${id}`,
    };
  }
}

/** "the same thread 'iothread0'", "the lock 'iothread0'". */
export function luckText({ kind, name }: LuckyEdge): string {
  const words: Readonly<Record<LuckKind, string>> = {
    "same thread": "both happening to run in the thread",
    lock: "the lock",
    bh: "a bottom half",
    coroutine: "a coroutine switch",
    wake: "a wake-up",
    timer: "a timer",
    wait: "a wait that was kicked",
    "read-from": "a read that saw the edit",
    counter: "a counter that was read without the right to rely on it",
  };
  return name === "" ? words[kind] : `${words[kind]} '${name}'`;
}
