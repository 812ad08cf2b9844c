declare module "*.css";

/** The server's, put in by the build. */
declare const VERSION: string;
