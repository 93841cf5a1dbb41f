/** How topics find their types in what `tidegate types --lang ts` prints. Types only: nothing of this file runs. */
export {};
