// Passkeys: what the browser asks the key, and what it answers. Without this the pages offer the password.
"use strict";
(() => {
  if (!window.PublicKeyCredential || !navigator.credentials) return;
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join(""))
      .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const trouble = document.querySelector("#passkey-problem");
  const tell = (problem) => {
    trouble.textContent = problem;
    trouble.hidden = !problem;
  };

  class Refused extends Error {}
  const send = async (path, body) => {
    const headers = { "Accept": "application/json" };
    if (body) headers["Content-Type"] = "application/json";
    const answer = await fetch(path, { method: "POST", headers, body: body && JSON.stringify(body), redirect: "manual" });
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({ detail: `the server answers with ${answer.status}` }));
    const expected = problem.expected ? `; expected: ${problem.expected}` : "";
    throw new Refused(problem.detail.charAt(0).toUpperCase() + problem.detail.slice(1) + expected + ".");
  };
  const said = (error) => {
    if (error instanceof Refused) return error.message;
    if (error.name === "NotAllowedError" || error.name === "AbortError") return "No passkey was used: it was cancelled, or took too long.";
    if (error.name === "InvalidStateError") return "This device already has a passkey of yours.";
    if (error.name === "SecurityError") return "Passkeys do not work at this address. Open the console under its own name.";
    return "The browser cannot use a passkey here: " + error.message;
  };

  // Signing in: by the button, or by what the browser offers in the login's field.
  const door = document.querySelector('[data-passkey="sign-in"]');
  let offering = null;
  const signIn = async (options) => {
    const { ceremony, publicKey } = await (await send("/sign-in/passkey/begin")).json();
    publicKey.challenge = bytes(publicKey.challenge);
    for (const key of publicKey.allowCredentials || []) key.id = bytes(key.id);
    delete publicKey.extensions;
    const key = await navigator.credentials.get({ publicKey, ...options });
    const { authenticatorData, clientDataJSON, signature, userHandle } = key.response;
    const answer = await send("/sign-in/passkey/finish", {
      ceremony,
      next: door.dataset.next,
      credential: {
        id: key.id, rawId: text(key.rawId), type: key.type,
        response: {
          authenticatorData: text(authenticatorData), clientDataJSON: text(clientDataJSON),
          signature: text(signature), userHandle: userHandle && text(userHandle),
        },
      },
    });
    location.assign(answer.headers.get("location") || "/");
  };
  const offer = async () => {
    if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
    offering?.abort();
    const mine = offering = new AbortController();
    try {
      await signIn({ mediation: "conditional", signal: mine.signal });
    } catch (error) {
      if (!mine.signal.aborted && error instanceof Refused) tell(said(error));
    }
  };
  if (door) {
    door.hidden = false;
    door.querySelector("button").addEventListener("click", async (event) => {
      const button = event.currentTarget;
      offering?.abort();
      tell("");
      button.disabled = true;
      try {
        await signIn({});
      } catch (error) {
        tell(said(error));
        button.disabled = false;
      }
    });
    offer();
    // What is offered is good for five minutes on the server.
    setInterval(() => { if (!document.hidden && offering && !offering.signal.aborted) offer(); }, 240000);
  }

  // Adding one.
  const form = document.querySelector('[data-passkey="add"]');
  if (form) {
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button");
      tell("");
      button.disabled = true;
      try {
        const { ceremony, publicKey } = await (await send("/account/passkeys/begin")).json();
        publicKey.challenge = bytes(publicKey.challenge);
        publicKey.user.id = bytes(publicKey.user.id);
        for (const key of publicKey.excludeCredentials || []) key.id = bytes(key.id);
        const key = await navigator.credentials.create({ publicKey });
        const { attestationObject, clientDataJSON } = key.response;
        await send("/account/passkeys/finish", {
          ceremony,
          label: form.elements.label.value,
          credential: {
            id: key.id, rawId: text(key.rawId), type: key.type,
            response: {
              attestationObject: text(attestationObject), clientDataJSON: text(clientDataJSON),
              transports: key.response.getTransports?.() || [],
            },
          },
        });
        location.assign("/account?done=passkey-added#passkeys");
      } catch (error) {
        tell(said(error));
        button.disabled = false;
      }
    });
  }
})();
