/** Name and password. */
import { type FormEvent, useState } from "react";
import { LATE_MS, messageOf } from "@/api/http";
import { session } from "@/api/session";

export function SignInForm({
  name,
  reason,
  onTyping,
}: {
  /** Whose password is asked for; absent: the name is asked for, too. */
  name?: string;
  reason?: string;
  /** Told when a password is begun: what comes next can be fetched meanwhile. */
  onTyping?: () => void;
}) {
  const [user, setUser] = useState(name ?? "");
  const [password, setPassword] = useState("");
  const [error, setError] = useState(reason);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    const late = setTimeout(() => setError("The server does not respond yet."), LATE_MS);
    try {
      await session.signIn({ name: user, password });
    } catch (failure) {
      setError(messageOf(failure));
      setBusy(false);
    } finally {
      clearTimeout(late);
    }
  };
  return (
    <form className="v-form" onSubmit={(event) => void submit(event)}>
      <div role="alert">{error && <p className="v-form-error">{error}</p>}</div>
      <label htmlFor="name">Name</label>
      <input
        id="name"
        name="username"
        value={user}
        onChange={(event) => setUser(event.currentTarget.value)}
        required
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        readOnly={name !== undefined}
        // biome-ignore lint/a11y/noAutofocus: it is all that there is to do here
        autoFocus={name === undefined}
      />
      <label htmlFor="password">Password</label>
      <input
        id="password"
        name="password"
        type="password"
        value={password}
        onChange={(event) => {
          if (password === "") onTyping?.();
          setPassword(event.currentTarget.value);
        }}
        required
        autoComplete="current-password"
        // biome-ignore lint/a11y/noAutofocus: it is all that there is to do here
        autoFocus={name !== undefined}
      />
      <button type="submit" className="v-button" disabled={busy || !user || !password}>
        {busy ? "Signing in…" : "Sign in"}
      </button>
    </form>
  );
}
