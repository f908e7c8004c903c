/** A decoded instruction as Intel-syntax text, as the test assembler reads it; derived from the rows. */

import { memoryBits, nameOf } from '../../isa/assembler/mnemonics.ts';
import { generalRegister, hexadecimal, sizeName } from '../../isa/assembler/operands.ts';
import { type Operand, operandBits } from '../../isa/encoding.ts';
import { type CodeBits, type Decoded, NO_REGISTER, RIP_RELATIVE } from './decoder.ts';

export interface DisassemblyOptions {
  /** Address of the instruction: branch targets are then absolute instead of relative to `$`. */
  readonly address?: bigint;
  /** Code size: sizes that neither name nor operands tell are then written as prefixes (`a32 loop ...`). */
  readonly codeBits?: CodeBits;
}

const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
const HIGH_BYTES = ['ah', 'ch', 'dh', 'bh'];

/** `add rax, qword ptr [rbx+rcx*4+8]`. */
export function disassemble(decoded: Decoded, options: DisassemblyOptions = {}): string {
  const { encoding, operandSize, addressSize } = decoded;
  const words: string[] = [];
  if (decoded.lock) words.push('lock');
  if (decoded.repeat !== 'none') {
    const comparing = /^(CMPS|SCAS)/.test(encoding.instruction.mnemonic);
    words.push(decoded.repeat === 'repne' ? 'repne' : comparing ? 'repe' : 'rep');
  }
  if (decoded.segmentOverridden && decoded.form !== 'memory' && (encoding.attributes.as || encoding.attributes.rep)) {
    words.push(SEGMENTS[decoded.segment]);
  }
  words.push(...sizePrefixes(decoded, options.codeBits));
  words.push(nameOf(encoding, operandSize, addressSize, decoded.opcode & 15));
  let immediates = 0;
  const operands = encoding.operands.map((operand) => operandText(decoded, operand, options, () => immediates++));
  return operands.length === 0 ? words.join(' ') : `${words.join(' ')} ${operands.join(', ')}`;
}

/** Sizes that differ from the code's and are not to be seen otherwise. */
function sizePrefixes(decoded: Decoded, codeBits: CodeBits | undefined): string[] {
  if (codeBits === undefined) return [];
  const { encoding, operandSize, addressSize } = decoded;
  const words: string[] = [];
  const { operands, attributes } = encoding;
  const named = nameOf(encoding, operandSize, addressSize, 0) !== nameOf(encoding, operandSize, codeBits, 0);
  if (attributes.as && addressSize !== codeBits && decoded.form !== 'memory' && !named) words.push(`a${addressSize}`);
  // operands that leave the operand size open: none at all, immediates, far and near targets, segment registers
  const open = operands.every(
    (o) => 'IJA'.includes(o.letter) || (o.letter === 'fixed' && o.width === 'w') || o.width === '',
  );
  if (!open) return words;
  const usual = codeBits !== 64 ? codeBits : attributes.f64 || attributes.d64 ? 64 : 32;
  const sized =
    attributes.os || attributes.d64 || attributes.f64 || operands.some((o) => ['z', 'p', 'bs', 'v'].includes(o.width));
  const told =
    nameOf(encoding, 16, addressSize, 0) !== nameOf(encoding, 32, addressSize, 0) ||
    nameOf(encoding, 64, addressSize, 0) !== nameOf(encoding, 32, addressSize, 0);
  if (
    sized &&
    operandSize !== usual &&
    encoding.w === undefined &&
    !(told && nameOf(encoding, operandSize, addressSize, 0) !== nameOf(encoding, usual, addressSize, 0))
  ) {
    words.push(`o${operandSize}`);
  }
  return words;
}

function operandText(
  decoded: Decoded,
  operand: Operand,
  options: DisassemblyOptions,
  nextImmediate: () => number,
): string {
  const bits = operandBits(operand, decoded.operandSize);
  switch (operand.letter) {
    case 'fixed':
      return fixedText(decoded, operand);
    case 'I':
      return immediateText(decoded, operand, nextImmediate() === 0 ? decoded.immediate : BigInt(decoded.immediate2));
    case 'J':
      return targetText(decoded, options.address);
    case 'A':
      return `${hexadecimal(BigInt(decoded.immediate2))}:${hexadecimal(decoded.immediate)}`;
    case 'O':
    case 'M':
      return memoryText(decoded, operand, options);
    case 'G':
      return general(decoded.reg, bits, decoded.rex);
    case 'Z':
      return general(decoded.opcodeRegister, bits, decoded.rex);
    case 'S':
      return SEGMENTS[decoded.reg & 7] ?? `segment${decoded.reg & 7}`;
    case 'C':
      return `cr${decoded.reg}`;
    case 'D':
      return `dr${decoded.reg}`;
    case 'V':
      return `xmm${decoded.reg}`;
    case 'P':
      return `mm${decoded.reg & 7}`;
    case 'E':
    case 'R':
      if (decoded.form === 'memory') return memoryText(decoded, operand, options);
      return general(decoded.rm, controlRegisterWidth(decoded, operand, options.codeBits) ?? bits, decoded.rex);
    case 'W':
    case 'U':
      return decoded.form === 'memory' ? memoryText(decoded, operand, options) : `xmm${decoded.rm}`;
    case 'Q':
    case 'N':
      return decoded.form === 'memory' ? memoryText(decoded, operand, options) : `mm${decoded.rm & 7}`;
  }
}

/** MOV to and from control and debug registers have no operand size: 32 bits outside 64-bit code. */
function controlRegisterWidth(decoded: Decoded, operand: Operand, codeBits: CodeBits | undefined): 32 | undefined {
  const special =
    operand.letter === 'R' &&
    operand.width === 'q' &&
    decoded.encoding.operands.some((o) => o.letter === 'C' || o.letter === 'D');
  return special && codeBits !== undefined && codeBits !== 64 ? 32 : undefined;
}

function general(number: number, bits: number, rex: boolean): string {
  if (bits === 8 && !rex && number >= 4 && number < 8) return HIGH_BYTES[number - 4];
  return generalRegister(number, bits as 8 | 16 | 32 | 64).name;
}

function fixedText(decoded: Decoded, { text }: Operand): string {
  if (text === 'rAX') return general(0, decoded.operandSize, true);
  if (text === 'STi') return `st${decoded.rm & 7}`;
  return text.toLowerCase();
}

/** Bits of a negative number that is written with its sign, whatever the row's immediate: one text for one meaning. */
const SIGNED_BITS = { 16: 8, 32: 8, 64: 32 } as const;

function immediateText(decoded: Decoded, operand: Operand, value: bigint): string {
  const { operandSize } = decoded;
  if (operand.width === 'b' || operand.width === 'w')
    return hexadecimal(BigInt.asUintN(operand.width === 'b' ? 8 : 16, value));
  const signed = BigInt.asIntN(operandSize, value);
  const small = signed < 0n && BigInt.asIntN(SIGNED_BITS[operandSize], signed) === signed;
  return hexadecimal(small ? signed : BigInt.asUintN(operandSize, value));
}

function targetText(decoded: Decoded, address: bigint | undefined): string {
  const distance = decoded.immediate + BigInt(decoded.length);
  if (address === undefined) return distance < 0n ? `$-${hexadecimal(-distance)}` : `$+${hexadecimal(distance)}`;
  return hexadecimal(BigInt.asUintN(decoded.operandSize, address + distance));
}

function memoryText(decoded: Decoded, operand: Operand, { address, codeBits }: DisassemblyOptions): string {
  const { base, index, scale, displacement, addressSize } = decoded;
  const isFar = operand.width === 'p' && decoded.encoding.operands.length === 1;
  const size = operand.width === 'p' && !isFar ? 0 : memoryBits(decoded.encoding, operand, decoded.operandSize);
  const segment = decoded.segmentOverridden ? `${SEGMENTS[decoded.segment]}:` : '';
  const terms: string[] = [];
  const width = addressSize as 16 | 32 | 64;
  if (base === RIP_RELATIVE) terms.push(width === 64 ? 'rip' : 'eip');
  else if (base !== NO_REGISTER) terms.push(generalRegister(base, width).name);
  if (index !== NO_REGISTER)
    terms.push(`${generalRegister(index, width).name}${scale > 0 || base === NO_REGISTER ? `*${1 << scale}` : ''}`);
  let rest: string;
  if (base === RIP_RELATIVE) {
    const from = displacement + BigInt(decoded.length);
    rest =
      address === undefined
        ? from < 0n
          ? `+$-${hexadecimal(-from)}`
          : `+$+${hexadecimal(from)}`
        : `+${hexadecimal(BigInt.asUintN(addressSize, address + from))}`;
  } else if (terms.length === 0) {
    rest = hexadecimal(BigInt.asUintN(addressSize, displacement));
  } else {
    rest = displacement === 0n ? '' : displacement < 0n ? hexadecimal(displacement) : `+${hexadecimal(displacement)}`;
  }
  // without registers nothing else tells that the address is narrower or wider than the code's
  const plain = terms.length === 0 && codeBits !== undefined && addressSize !== codeBits ? `a${addressSize} ` : '';
  return `${isFar ? 'far ' : ''}${sizeName(size)}${segment}[${plain}${terms.join('+')}${rest}]`;
}
