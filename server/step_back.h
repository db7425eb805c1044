/* Which threads go first where there are fewer processors than threads with work: those that answer clients, a little at a time, before those
 * whose work others should not wait for (long queries, blobs, connections that may never ask for anything). Where the system does not allow it,
 * or knows nothing of it, all work the same. */
#ifndef SERVER_STEP_BACK_H
#define SERVER_STEP_BACK_H

/* The calling thread, and those that it starts from now on, work in short turns: whoever has little to do is let in at once. */
void step_first(void);
void step_usual(void); /* as if step_first had not been called */

/* Between two pieces of work: the system looks only every few milliseconds whether a turn is over, so that whoever has much to do says so. */
void step_aside(void);

/* The calling thread leaves the processor to those that answer, and works in long turns; not by so much that it would starve. */
void step_back(void);

/* The same, for who works for long and calls step_let between two pieces of work: there whoever waits for the processor gets it. In any
 * other thread step_let does nothing. */
void step_back_letting(void);
void step_let(void);

#endif
