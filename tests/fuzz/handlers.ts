/**
 * The guest's interrupt handlers: they count, mend what a page fault asks for, and go on behind the instruction that
 * faulted, or from the start if control was lost. None of them depends on the program's registers.
 */
import { CR0, FLAG } from '../../src/cpu/system/registers.ts';
import { Vector } from '../../src/isa/stage.ts';
import {
  CODE_BYTES,
  DATA_PAGE,
  type Flavour,
  type Layout,
  MENDABLE_PAGES,
  PAGE,
  ripBase,
  STACK_PAGES,
  SYSTEM,
  VECTOR,
} from './flavours.ts';

const NMI = 2;
/** Error code of a page fault (SDM vol. 3A figure 4-12). */
const FAULT = { PRESENT: 1, WRITE: 2 } as const;
/** Flags cleared when a program starts anew. */
const STICKY_FLAGS = FLAG.TF | FLAG.AC | FLAG.NT;

/** Where the tables that map data and code can be written. */
export interface MendTables {
  readonly data: number;
  readonly code: number;
  readonly entryBytes: 4 | 8;
}

export interface HandlerOptions {
  readonly flavour: Flavour;
  readonly layout: Layout;
  readonly tables: MendTables;
  /** Offset in the code where programs start. */
  readonly start: number;
  /** Exclusive or of the roots of the two address spaces. */
  readonly otherRoot: number;
  /** Whether writes to read-only pages make them writable. */
  readonly mendsWrites: boolean;
}

/** Text of the common part of all handlers, entered with the vector and an error code on the stack. */
export function handlerText(options: HandlerOptions): string {
  if (options.flavour.levels === 0) return realText(options);
  return options.flavour.levels === 4 ? longText(options) : protectedText(options);
}

/** Registers and stack slots in which the long and protected forms differ. */
interface Names {
  readonly a: string;
  readonly d: string;
  readonly di: string;
  readonly errorCode: string;
  readonly ip: string;
  readonly flags: string;
}

/** Where the vectors that need something lead; the others skip the instruction. */
const dispatch = (): string => `
    cmp ebx, ${Vector.PF}
    je page_fault
    cmp ebx, ${Vector.DB}
    je debug
    cmp ebx, ${NMI}
    je done
    cmp ebx, ${Vector.NM}
    je no_math
    cmp ebx, ${Vector.AC}
    je alignment
    cmp ebx, ${Vector.MF}
    jne skip
    fninit
    jmp skip`;

function pageFault({ layout, tables, mendsWrites }: HandlerOptions, names: Names): string {
  const { a, d, errorCode } = names;
  const scale = tables.entryBytes;
  const mend = mendsWrites
    ? `cmp eax, ${DATA_PAGE.READ_ONLY}
       je skip
       test dword ptr [${errorCode}], ${FAULT.WRITE}
       jz skip
       or byte ptr [${a}*${scale}+${tables.data}], ${FAULT.PRESENT | FAULT.WRITE}
       jmp mended`
    : 'jmp skip';
  const executable = scale === 8 ? `and byte ptr [${a}*8+${tables.code + 7}], 0x7f` : '';
  return `page_fault:
    mov ${a}, cr2
    mov ${d}, ${layout.data}
    sub ${a}, ${d}
    cmp ${a}, ${MENDABLE_PAGES * PAGE}
    jb in_data
    mov ${a}, cr2
    mov ${d}, ${layout.code}
    sub ${a}, ${d}
    cmp ${a}, ${CODE_BYTES}
    jae skip
    test dword ptr [${errorCode}], ${FAULT.WRITE}
    jnz skip
    shr eax, 12
    or byte ptr [${a}*${scale}+${tables.code}], ${FAULT.PRESENT}
    ${executable}
    jmp mended
  in_data:
    shr eax, 12
    test dword ptr [${errorCode}], ${FAULT.PRESENT}
    jnz protection
    or byte ptr [${a}*${scale}+${tables.data}], ${FAULT.PRESENT}
    jmp done
  protection:
    ${mend}
  mended:
    mov ${a}, cr2
    invlpg [${a}]
    jmp done`;
}

/** What interrupts that programs and tests raise do, apart from being counted. */
function interrupt({ layout, otherRoot, tables }: HandlerOptions, { a, d, di }: Names): string {
  return `interrupt:
    cmp ebx, ${VECTOR.FLUSH}
    je flush
    cmp ebx, ${VECTOR.SWITCH}
    je switch
    cmp ebx, ${VECTOR.UNMAP}
    je change
    cmp ebx, ${VECTOR.NO_EXECUTE}
    je change
    cmp ebx, ${VECTOR.PATCH}
    jne done
    mov ${d}, [${layout.system + SYSTEM.PATCH_POINTER}]
    test ${d}, ${d}
    jz done
    mov ${a}, [${layout.system + SYSTEM.PATCH_VALUE}]
    xchg [${d}], ${a}
    mov [${layout.system + SYSTEM.PATCH_VALUE}], ${a}
    jmp done
  change:
    mov ${a}, ${di}
    mov ${d}, ${layout.tables}
    sub ${a}, ${d}
    cmp ${a}, ${2 * PAGE}
    jae done
    cmp ebx, ${VECTOR.UNMAP}
    jne no_execute
    xor byte ptr [${di}], ${FAULT.PRESENT}
    jmp flush
  no_execute:
    ${tables.entryBytes === 8 ? `xor byte ptr [${di}+7], 0x80` : ''}
  flush:
    mov ${a}, cr3
    mov cr3, ${a}
    jmp done
  switch:
    mov ${a}, cr3
    xor ${a}, ${otherRoot}
    mov cr3, ${a}
    jmp done`;
}

function resume({ layout, start }: HandlerOptions, { a, d, ip, flags }: Names): string {
  const base = ripBase(layout);
  return `debug:
    and dword ptr [${flags}], ${~FLAG.TF >>> 0}
    or dword ptr [${flags}], ${FLAG.RF}
    jmp done
  no_math:
    clts
    jmp done
  alignment:
    and dword ptr [${flags}], ${~FLAG.AC >>> 0}
  skip:
    mov ${a}, [${ip}]
    mov ${d}, ${base}
    sub ${a}, ${d}
    cmp ${a}, ${CODE_BYTES}
    jae lost
    movzx eax, word ptr [${a}*2+${layout.system + SYSTEM.RESUME}]
    add ${a}, ${d}
    mov [${ip}], ${a}
    jmp done
  lost:
    mov ${a}, ${base + start}
    mov [${ip}], ${a}
    and dword ptr [${flags}], ${~STICKY_FLAGS >>> 0}`;
}

/** Puts a stack pointer that left its stack back into it. */
function mendStack({ layout }: HandlerOptions, { a, d }: Names, slot: string): string {
  const low = layout.stack - layout.ssBase;
  return `mov ${a}, [${slot}]
    mov ${d}, ${low}
    sub ${a}, ${d}
    cmp ${a}, ${STACK_PAGES * PAGE + 1}
    jb stack_is_good
    mov ${a}, ${low + PAGE}
    mov [${slot}], ${a}
  stack_is_good:`;
}

function longText(options: HandlerOptions): string {
  const { layout } = options;
  // rdx, rbx, rax, vector, error code, rip, cs, rflags, rsp, ss
  const names: Names = {
    a: 'rax',
    d: 'rdx',
    di: 'rdi',
    errorCode: 'rsp+32',
    ip: 'rsp+40',
    flags: 'rsp+56',
  };
  return `push rax
    push rbx
    push rdx
    mov ebx, [rsp+24]
    inc dword ptr [rbx*4+${layout.system + SYSTEM.COUNTS}]
    cmp ebx, 32
    jae interrupt
    ${mendStack(options, names, 'rsp+64')}
    ${dispatch()}
    ${resume(options, names)}
  done: pop rdx
    pop rbx
    pop rax
    add rsp, 16
    iretq
    ${pageFault(options, names)}
    ${interrupt(options, names)}`;
}

/** Selector of flat data for the handlers. */
export const KERNEL_DATA = 0x10;

function protectedText(options: HandlerOptions): string {
  const { layout, flavour } = options;
  // edx, ebx, eax, ds, vector, error code, eip, cs, eflags, and from CPL 3 esp, ss
  const names: Names = {
    a: 'eax',
    d: 'edx',
    di: 'edi',
    errorCode: 'esp+20',
    ip: 'esp+24',
    flags: 'esp+32',
  };
  const stackFrame = flavour.cpl === 3 ? mendStack(options, names, 'esp+36') : '';
  return `push ds
    push eax
    push ebx
    push edx
    mov eax, ${KERNEL_DATA}
    mov ds, ax
    mov ebx, ss:[esp+16]
    inc dword ptr [ebx*4+${layout.system + SYSTEM.COUNTS}]
    cmp ebx, 32
    jae interrupt
    ${stackFrame}
    ${dispatch()}
    ${resume(options, names)}
  done: pop edx
    pop ebx
    pop eax
    pop ds
    add esp, 8
    iretd
    ${pageFault(options, names)}
    ${interrupt(options, names)}`;
}

/** In real-address mode: no page faults, and no error codes. */
function realText({ layout, start }: HandlerOptions): string {
  // bp, ds, dx, bx, ax, vector, ip, cs, flags
  return `push ax
    push bx
    push dx
    push ds
    push bp
    mov bp, sp
    mov ax, ${layout.system >> 4}
    mov ds, ax
    mov bx, [bp+10]
    shl bx, 1
    inc word ptr [bx+${SYSTEM.COUNTS}]
    shr bx, 1
    cmp bx, ${VECTOR.PATCH}
    je patch
    cmp bx, 32
    jae done
    cmp bx, ${NMI}
    je done
    cmp bx, ${Vector.DB}
    je debug
    cmp bx, ${Vector.NM}
    je no_math
    cmp bx, ${Vector.MF}
    jne skip
    fninit
  skip:
    cmp word ptr [bp+14], ${layout.code >> 4}
    jne lost
    mov bx, [bp+12]
    cmp bx, ${CODE_BYTES}
    jae lost
    shl bx, 1
    mov bx, [bx+${SYSTEM.RESUME}]
    mov [bp+12], bx
  done: pop bp
    pop ds
    pop dx
    pop bx
    pop ax
    add sp, 2
    iretw
  debug:
    and word ptr [bp+16], ${~FLAG.TF & 0xffff}
    jmp done
  no_math:
    mov eax, cr0
    and eax, ${~CR0.TS >>> 0}
    mov cr0, eax
    jmp done
  lost:
    mov word ptr [bp+14], ${layout.code >> 4}
    mov word ptr [bp+12], ${start}
    and word ptr [bp+16], ${~STICKY_FLAGS & 0xffff}
    jmp done
  patch:
    mov bx, [${SYSTEM.PATCH_POINTER}]
    test bx, bx
    jz done
    mov ax, ${layout.code >> 4}
    mov dx, [${SYSTEM.PATCH_VALUE}]
    push ds
    mov ds, ax
    xchg [bx], dx
    pop ds
    mov [${SYSTEM.PATCH_VALUE}], dx
    jmp done`;
}

/** Bytes of an entry stub. */
export const STUB_BYTES = 16;
/** Exceptions with an error code (SDM vol. 3A table 6-1). */
const WITH_ERROR_CODE = new Set<number>([8, 10, 11, 12, 13, 14, 17, 21]);

/** The entry of a vector's handler: pushes what the processor did not, and jumps to the common part. */
export function stub(vector: number, flavour: Flavour): Uint8Array {
  const from = SYSTEM.STUBS + STUB_BYTES * vector;
  const push = (value: number): number[] =>
    flavour.levels === 0 ? [0x68, value, 0] : [0x68, value & 0xff, value >> 8, 0, 0];
  const pushes = [...(flavour.levels === 0 || WITH_ERROR_CODE.has(vector) ? [] : push(0)), ...push(vector)];
  const displacementBytes = flavour.levels === 0 ? 2 : 4;
  const distance = SYSTEM.HANDLER - (from + pushes.length + 1 + displacementBytes);
  const jump = Array.from({ length: displacementBytes }, (_, i) => (distance >> (8 * i)) & 0xff);
  return Uint8Array.from([...pushes, 0xe9, ...jump]);
}
