/** The head of a page, one row: where one is, what it is about, and what can be done there. */
import { Fragment, type ReactNode, useEffect } from "react";
import { Link } from "react-router";

export interface Trail {
  to: string;
  title: string;
}

export function PageHead({
  title,
  trail = [],
  status,
  about,
  actions,
  children,
}: {
  title: string;
  /** The places above this one. */
  trail?: readonly Trail[];
  /** How it is with it: always seen. */
  status?: ReactNode;
  /** More words about it, where there is room for them. */
  about?: ReactNode;
  actions?: ReactNode;
  children?: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Velocity`;
  }, [title]);
  return (
    <header className="v-head">
      <div className="v-head-row">
        {trail.length > 0 && (
          <nav aria-label="Breadcrumb" className="v-trail">
            {trail.map(({ to, title }) => (
              <Fragment key={to}>
                <Link to={to}>{title}</Link>
                <span aria-hidden="true">/</span>
              </Fragment>
            ))}
          </nav>
        )}
        <h1 title={title}>{title}</h1>
        {status && <p className="v-head-status">{status}</p>}
        {about && <p className="v-head-about">{about}</p>}
        {actions && <div className="v-head-actions">{actions}</div>}
      </div>
      {children}
    </header>
  );
}
