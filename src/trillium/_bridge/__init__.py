"""The one thread in which trio runs for programs that are no trio programs, and the ways over.

What belongs here: the thread, what crosses to it and back, and how a loop or a thread waits for
it. What does not: how a request is answered; the doors above say what is crossed for, and `asked`
what they answer alike.

```text
   host: an asyncio loop, or a thread          trio's thread
   ───────────────────────────────────         ─────────────────────────────
   Job, Flow ── post ─▶ inbox ─────────────▶  one drain for all that is in it
   bells  ◀──────────── outbox ◀───────────   rung as tasks end and items come
```

Crossing costs a system call and two turns of a loop, whatever is carried: so all that comes up
until the other side gets its turn goes over together.
What may wait a moment (chunks, but not their end) is held for more of its kind, see `moderation`.
"""
