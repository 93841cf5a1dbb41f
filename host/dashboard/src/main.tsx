// The page: sign-in for who is signed out, and else the page that the address names.

import { render } from "preact";
import { useEffect } from "preact/hooks";

import { Frame } from "./frame";
import { close, open } from "./live";
import { SignIn } from "./pages/sign-in";
import { begin, session } from "./session";
import "./style.css";

function App() {
  const state = session.value;
  switch (state.is) {
    case "asking":
      return null;
    case "away":
      return (
        <main class="gate">
          <h1>The server does not answer</h1>
          <p role="status">This page tries again by itself, every second.</p>
        </main>
      );
    case "out":
      return <SignIn because={state.because} />;
    case "in":
      return <SignedIn />;
  }
}

function SignedIn() {
  // Before its children ask for live data.
  if (!SignedIn.isOpen) {
    SignedIn.isOpen = true;
    open();
  }
  useEffect(
    () => () => {
      SignedIn.isOpen = false;
      close();
    },
    [],
  );
  return <Frame />;
}
SignedIn.isOpen = false;

render(<App />, document.getElementById("page")!);
void begin();
