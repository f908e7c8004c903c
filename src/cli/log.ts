/** The log on standard error. */
import type { Log, LogTopic } from '../bus/log.ts';

/** What each topic is about. */
export const LOG_TOPICS = {
  unimplemented: 'what a guest used and is not implemented',
  'guest-error': 'mistakes of the guest',
  device: 'failures of the host behind a device',
  boot: 'resets of the machine',
  svm: 'VMRUNs that failed',
  exit: 'every #VMEXIT',
  exception: 'every exception',
  interrupt: 'every interrupt',
} as const satisfies Record<LogTopic, string>;

const ALL_TOPICS = Object.keys(LOG_TOPICS) as LogTopic[];
/** What is always worth a line. */
export const DEFAULT_TOPICS: readonly LogTopic[] = ['unimplemented', 'guest-error', 'device', 'boot', 'svm'];

/** Reads a list such as `exit,svm`; `all` stands for every topic and `none` for none. `undefined` if a name is unknown. */
export function parseLogTopics(text: string): LogTopic[] | undefined {
  if (text === 'all') return ALL_TOPICS;
  if (text === 'none') return [];
  const topics = text.split(',') as LogTopic[];
  return topics.every((topic) => Object.hasOwn(LOG_TOPICS, topic)) ? topics : undefined;
}

/**
 * A log that writes lines to standard error.
 * @param before called before each line, to get earlier output out
 */
export function standardErrorLog(topics: readonly LogTopic[], before: () => void): Log {
  const enabled = new Set(topics);
  return {
    enabled: (topic) => enabled.has(topic),
    write(topic, message) {
      if (!enabled.has(topic)) return;
      before();
      process.stderr.write(`testudo: ${topic}: ${message}\n`);
    },
  };
}
