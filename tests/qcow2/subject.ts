// An image that is worked on, by our driver and by QEMU's programs in turn, and what it must hold by now.

import { join } from "node:path";
import type { Qcow2OpenOptions } from "#core/drivers";

/** A persistent bitmap that qemu-img added. */
export interface KnownBitmap {
  readonly granularity: number;
  readonly recording: boolean;
  /** What the disk held when it began to record, as far as the disk has never been shorter. */
  since: Uint8Array;
}

export class Subject {
  readonly folder: string;
  /** What a person wants to see when something is wrong. */
  readonly description: string;
  readonly version: 2 | 3;
  readonly clusterBytes: number;
  readonly refcountBits: number;
  readonly hasBacking: boolean;
  readonly hasDataFile: boolean;
  readonly openOptions: Partial<Qcow2OpenOptions>;
  /** What the disk holds. */
  shadow: Uint8Array;
  /** What it held when these snapshots were taken. */
  readonly snapshots = new Map<string, Uint8Array>();
  readonly bitmaps = new Map<string, KnownBitmap>();

  constructor(
    folder: string,
    traits: Pick<
      Subject,
      | ("description" | "version" | "clusterBytes" | "refcountBits" | "hasBacking")
      | ("hasDataFile" | "openOptions" | "shadow")
    >,
  ) {
    this.folder = folder;
    this.description = traits.description;
    this.version = traits.version;
    this.clusterBytes = traits.clusterBytes;
    this.refcountBits = traits.refcountBits;
    this.hasBacking = traits.hasBacking;
    this.hasDataFile = traits.hasDataFile;
    this.openOptions = traits.openOptions;
    this.shadow = traits.shadow;
  }

  /** The same image, whose work leaves what is known of this one alone. */
  copy(): Subject {
    const copy = new Subject(this.folder, { ...this, shadow: Uint8Array.from(this.shadow) });
    for (const [name, then] of this.snapshots) copy.snapshots.set(name, then);
    for (const [name, bitmap] of this.bitmaps) copy.bitmaps.set(name, { ...bitmap });
    return copy;
  }

  /** `copy`, which was worked on, is what is known now. */
  worked({ shadow, bitmaps }: Subject): void {
    this.shadow = shadow;
    for (const [name, bitmap] of bitmaps) this.bitmaps.set(name, bitmap);
  }

  get path(): string {
    return join(this.folder, "image.qcow2");
  }

  /** The disk is `size` bytes long: what is new reads as zeroes. */
  resized(size: number): void {
    const longer = new Uint8Array(size);
    longer.set(this.shadow.subarray(0, size));
    this.shadow = longer;
    for (const bitmap of this.bitmaps.values()) bitmap.since = bitmap.since.subarray(0, size);
  }

  /** What a discard of the range leaves, which is of whole clusters; parts of clusters are left alone. */
  discarded(offset: number, bytes: number): void {
    const { clusterBytes, shadow } = this;
    if (this.version < 3 && this.hasBacking) return;
    const end = offset + bytes;
    const last = end === shadow.length ? end : end - (end % clusterBytes);
    const first = Math.ceil(offset / clusterBytes) * clusterBytes;
    if (first < last) shadow.fill(0, first, last);
  }
}
