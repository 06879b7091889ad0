package org.legodnn.governing;

/** What became of a decision. */
public enum Outcome {
    /** The best plan under the new budget runs. */
    APPLIED,
    /** No plan holds the limits: the nearest one runs. */
    NEAREST,
    /** The plan before still runs, because a block could not be loaded, say; it is tried again after 10 s. */
    KEPT
}
