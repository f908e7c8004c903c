/** What is in the initial RAM disks of the guests. */
import { type CpioEntry, characterDevice, directory, executable, file, symlink, writeCpio } from './cpio.ts';

/** Device numbers (Linux Documentation/admin-guide/devices.txt). */
const CONSOLE = [5, 1] as const;
const NULL_DEVICE = [1, 3] as const;

const BASE_DIRECTORIES = ['bin', 'dev', 'etc', 'lib', 'proc', 'root', 'sys', 'tmp'];

/** Scripts and settings of one guest, by file name. */
export type GuestScripts = ReadonlyMap<string, string>;

function script(scripts: GuestScripts, name: string): string {
  const text = scripts.get(name);
  if (text === undefined) throw new RangeError(`the guest's script '${name}' is missing`);
  return text;
}

/** A bootable system of BusyBox, /init and /etc/profile. The applets' links are made by /init. */
function baseSystem(busybox: Uint8Array, scripts: GuestScripts): CpioEntry[] {
  return [
    ...BASE_DIRECTORIES.map((name) => directory(name)),
    // The kernel opens the console for process 1 before there is a devtmpfs.
    characterDevice('dev/console', ...CONSOLE),
    characterDevice('dev/null', ...NULL_DEVICE),
    executable('bin/busybox', busybox),
    symlink('bin/sh', 'busybox'),
    file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n'),
    file('etc/group', 'root:x:0:\n'),
    file('etc/profile', script(scripts, 'profile')),
    executable('init', script(scripts, 'init')),
  ];
}

/** The initial RAM disk of the guest's guest. */
export function makeInitrdL2(busybox: Uint8Array, scripts: GuestScripts): Uint8Array {
  return writeCpio(baseSystem(busybox, scripts));
}

export interface L1Parts {
  busybox: Uint8Array;
  scripts: GuestScripts;
  monitor: Uint8Array;
  /** Modules by name, "kvm-amd" and the like. */
  modules: ReadonlyMap<string, Uint8Array>;
  /** For each module that L1 loads by name: what to load, in order. */
  loadingOrders: ReadonlyMap<string, readonly string[]>;
  /** The kernel and initial RAM disk that L1 boots as L2. */
  kernelL2: Uint8Array;
  initrdL2: Uint8Array;
}

/** L1's own commands. */
const L1_COMMANDS = ['load-module', 'load-kvm', 'load-virtio', 'l2'];

/** The initial RAM disk of the guest that is itself a hypervisor host. */
export function makeInitrdL1(parts: L1Parts): Uint8Array {
  return writeCpio([
    ...baseSystem(parts.busybox, parts.scripts),
    ...L1_COMMANDS.map((name) => executable(`bin/${name}`, script(parts.scripts, name))),
    executable('bin/testudo-kvm', parts.monitor),
    directory('lib/modules'),
    ...[...parts.modules].map(([name, contents]) => file(`lib/modules/${name}.ko`, contents)),
    ...[...parts.loadingOrders].map(([name, order]) => file(`lib/modules/${name}.order`, `${order.join('\n')}\n`)),
    directory('lib/l2'),
    file('lib/l2/bzImage', parts.kernelL2),
    file('lib/l2/initrd', parts.initrdL2),
  ]);
}
