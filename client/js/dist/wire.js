/** The words of the wire, as the manual's tables have them. Types only: nothing of this file runs. */
export {};
