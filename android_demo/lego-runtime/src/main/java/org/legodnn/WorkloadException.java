package org.legodnn;

/** A workload, a budget or a plan makes no sense. */
public class WorkloadException extends LegoException {
    private static final long serialVersionUID = 1;

    /** @param message what is wrong, where, and what to do */
    public WorkloadException(String message) {
        super(message);
    }

    /**
     * @param message what is wrong, where, and what to do
     * @param cause what led to it
     */
    public WorkloadException(String message, Throwable cause) {
        super(message, cause);
    }
}
