/** Choices of looks that outlive the page, and what was typed for as long as its tab is open. Never anything secret. */
const PREFIX = "velocity.";

function read<T>(storage: () => Storage, name: string, otherwise: T): T {
  try {
    const text = storage().getItem(PREFIX + name);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise;
  }
}

function write(storage: () => Storage, name: string, value: unknown): void {
  try {
    storage().setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // a browser that keeps nothing forgets the choice, no more
  }
}

export const readStored = <T>(name: string, otherwise: T): T => read(() => localStorage, name, otherwise);
export const writeStored = (name: string, value: unknown): void => write(() => localStorage, name, value);
export const readTab = <T>(name: string, otherwise: T): T => read(() => sessionStorage, name, otherwise);
export const writeTab = (name: string, value: unknown): void => write(() => sessionStorage, name, value);
