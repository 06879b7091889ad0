/**
 * Models whose blocks are switched while they run, within budgets of memory and latency: {@link LegoRuntime}.
 *
 * <p>What may be null says so ({@code @Nullable}); all else is never null, neither taken nor given.
 *
 * <p>A method "for a worker thread" waits for files, for other threads, for a solver or for inference, and does not
 * belong on the main thread. All others return at once, on any thread.
 */
@NullMarked
package org.legodnn;

import org.jspecify.annotations.NullMarked;
