package org.legodnn;

/** Tells how much memory this process takes. */
public interface MemoryMeter {
    /** Bytes now: proportional set size (PSS) where the system tells it. */
    long processBytes();
}
