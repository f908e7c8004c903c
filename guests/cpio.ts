/**
 * Archives in the "newc" cpio format, which the Linux kernel unpacks as its initial RAM file system
 * (Linux Documentation/driver-api/early-userspace/buffer-format.rst; cpio(5), "New ASCII Format").
 *
 * Entries are data here, never files on the disk: device nodes and owners need no privileges, and equal entries give
 * equal bytes.
 */

/** File types as in st_mode (POSIX sys/stat.h). */
const FILE_TYPE = { file: 0o100000, directory: 0o040000, symlink: 0o120000, character: 0o020000 } as const;

const MAGIC = '070701';
const HEADER_FIELDS = 13;
const FIELD_DIGITS = 8;
const HEADER_BYTES = MAGIC.length + HEADER_FIELDS * FIELD_DIGITS;
const ALIGNMENT = 4;
const TRAILER_NAME = 'TRAILER!!!';
const MAX_FILE_BYTES = 0xffff_ffff;

interface Named {
  /** Relative to the root, without a leading slash: "bin/sh". */
  name: string;
  /** Permission bits. */
  mode: number;
}

export type CpioEntry =
  | (Named & { type: 'file'; data: Uint8Array })
  | (Named & { type: 'directory' })
  | (Named & { type: 'symlink'; target: string })
  | (Named & { type: 'character'; major: number; minor: number });

const encoder = new TextEncoder();

/** Directory with permissions 0755. */
export function directory(name: string): CpioEntry {
  return { type: 'directory', name, mode: 0o755 };
}

/** Regular file; `mode` defaults to 0644. */
export function file(name: string, data: Uint8Array | string, mode = 0o644): CpioEntry {
  return { type: 'file', name, mode, data: typeof data === 'string' ? encoder.encode(data) : data };
}

/** Program or script: a regular file with permissions 0755. */
export function executable(name: string, data: Uint8Array | string): CpioEntry {
  return file(name, data, 0o755);
}

/** Symbolic link `name` that points to `target`. */
export function symlink(name: string, target: string): CpioEntry {
  return { type: 'symlink', name, mode: 0o777, target };
}

/** Character device node with permissions 0600. */
export function characterDevice(name: string, major: number, minor: number): CpioEntry {
  return { type: 'character', name, mode: 0o600, major, minor };
}

function align(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
}

function contents(entry: CpioEntry): Uint8Array {
  switch (entry.type) {
    case 'file':
      return entry.data;
    case 'symlink':
      return encoder.encode(entry.target);
    case 'directory':
    case 'character':
      return new Uint8Array(0);
  }
}

function checkName(name: string, seen: Set<string>): void {
  const parts = name.split('/');
  if (name === TRAILER_NAME || parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw new RangeError(`not a name for a cpio entry: '${name}'`);
  }
  if (seen.has(name)) throw new RangeError(`two cpio entries are called '${name}'`);
  // The kernel makes no missing directories: such an entry would be lost without a word.
  const parent = parts.slice(0, -1).join('/');
  if (parent !== '' && !seen.has(parent)) throw new RangeError(`cpio entry '${name}' comes before its directory`);
  seen.add(name);
}

/** One header: magic and thirteen numbers of eight hexadecimal digits, then the name with its zero byte. */
function header(name: Uint8Array, fields: readonly number[]): Uint8Array {
  const digits = fields.map((field) => field.toString(16).padStart(FIELD_DIGITS, '0')).join('');
  const bytes = new Uint8Array(align(HEADER_BYTES + name.length + 1));
  bytes.set(encoder.encode(MAGIC + digits));
  bytes.set(name, HEADER_BYTES);
  return bytes;
}

/**
 * The archive of `entries`, in their order. All belong to root and bear time 0. A directory must come before what is in
 * it.
 *
 * @throws RangeError where a name is empty, absolute, climbs up, occurs twice or lacks its directory, or where a file
 *   has 4 GiB or more.
 */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = 0;
  const append = (bytes: Uint8Array) => {
    parts.push(bytes);
    length += bytes.length;
    const padding = align(length) - length;
    if (padding > 0) {
      parts.push(new Uint8Array(padding));
      length += padding;
    }
  };

  const seen = new Set<string>();
  entries.forEach((entry, index) => {
    checkName(entry.name, seen);
    const data = contents(entry);
    if (data.length > MAX_FILE_BYTES) throw new RangeError(`'${entry.name}' is too large for a cpio archive`);
    const name = encoder.encode(entry.name);
    const links = entry.type === 'directory' ? 2 : 1;
    const [major, minor] = entry.type === 'character' ? [entry.major, entry.minor] : [0, 0];
    // inode, mode, uid, gid, links, mtime, size, device (two), special device (two), name length, checksum
    const mode = FILE_TYPE[entry.type] | entry.mode;
    append(header(name, [index + 1, mode, 0, 0, links, 0, data.length, 0, 0, major, minor, name.length + 1, 0]));
    append(data);
  });
  const trailer = encoder.encode(TRAILER_NAME);
  append(header(trailer, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, trailer.length + 1, 0]));

  const archive = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    archive.set(part, offset);
    offset += part.length;
  }
  return archive;
}
