/** What is wrong with a name, a type or a password, by the contract's own limits; undefined if nothing is. */
import { CreateMedium, CreateUser, CreateVm } from "@/api/limits";

interface TextLimits {
  minLength: number;
  maxLength: number;
  pattern: string;
}

/** Characters as the server counts them: not UTF-16's halves of one. */
const long = (text: string): number => [...text].length;

function textProblem(text: string, what: string, { minLength, maxLength, pattern }: TextLimits): string | undefined {
  if (text.trim().length < minLength) return `Enter a ${what}.`;
  if (long(text) > maxLength) return `A ${what} has at most ${maxLength} characters; this has ${long(text)}.`;
  // half a character is refused by whatever reads JSON, so no pattern has to say it
  if (!new RegExp(pattern, "u").test(text) || /\p{Cs}/u.test(text))
    return `A ${what} can contain only printable characters, and none that is invisible or reverses the text.`;
  return undefined;
}

/** Of a VM, a display, a medium, a group or a user. */
export const nameProblem = (name: string): string | undefined => textProblem(name, "name", CreateVm.name);

export const typeProblem = (type: string): string | undefined => textProblem(type, "type", CreateMedium.type);

export function passwordProblem(password: string): string | undefined {
  const { minLength, maxLength } = CreateUser.password;
  if (long(password) < minLength) return `At least ${minLength} characters.`;
  return long(password) > maxLength ? `At most ${maxLength.toLocaleString()} characters.` : undefined;
}
