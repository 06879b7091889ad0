/**
 * Models whose blocks are switched while they run, within budgets of memory and latency: {@link LegoRuntime}.
 *
 * <p>What may be null says so ({@code @Nullable}); all else is never null, neither taken nor given. Methods of which
 * nothing else is said return at once and may be called on any thread; "worker thread" says of one that it waits for
 * files, for other threads or for inference, and does not belong on the main thread.
 */
@NullMarked
package org.legodnn;

import org.jspecify.annotations.NullMarked;
