package org.legodnn;

/** The plan has no room for this model at the moment. */
public class SuspendedException extends LegoException {
    private static final long serialVersionUID = 1;

    /** @param message what is wrong, where, and what to do */
    public SuspendedException(String message) {
        super(message);
    }

    /**
     * @param message what is wrong, where, and what to do
     * @param cause what led to it
     */
    public SuspendedException(String message, Throwable cause) {
        super(message, cause);
    }
}
