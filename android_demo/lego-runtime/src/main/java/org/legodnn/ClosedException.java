package org.legodnn;

/** A runtime or a governor was used after it had been closed. */
public class ClosedException extends LegoException {
    private static final long serialVersionUID = 1;

    /** @param message what is closed, and what to do */
    public ClosedException(String message) {
        super(message);
    }
}
