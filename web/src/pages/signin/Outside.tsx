/** The frame of what is seen before one is signed in. It is part of the first few bytes: plain elements, own styles. */
import type { ReactNode } from "react";
import icon from "@/icon.svg";

export function Outside({ title, about, children }: { title: string; about?: ReactNode; children: ReactNode }) {
  return (
    <main className="v-outside">
      <div className="v-outside-card">
        <img src={icon} alt="" width="40" height="40" />
        <h1>{title}</h1>
        {children}
      </div>
      {about && <footer>{about}</footer>}
    </main>
  );
}
