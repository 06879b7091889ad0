package org.legodnn;

/**
 * Base of everything that this library throws on purpose. The hierarchy is the Python package's ({@code
 * legodnn.errors}):
 *
 * <pre>
 * LegoException
 *   StoreException           a store is damaged, unreadable, or not a store
 *   ProfileException         a profile is damaged, incomplete, or of another store or device
 *   WorkloadException        a workload, a budget or a plan makes no sense
 *     InfeasibleException    no combination of blocks holds the limits
 *   InputException           an inference request that the model cannot take
 *   SuspendedException       the plan has no room for this model at the moment
 *   InferenceException       an inference failed while it ran
 * </pre>
 *
 * A message is one or two lines: what is wrong, where, and what to do. When one is thrown nothing has been written and
 * the running plan is untouched.
 */
public class LegoException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** @param message what is wrong, where, and what to do */
    public LegoException(String message) {
        super(message);
    }

    /**
     * @param message what is wrong, where, and what to do
     * @param cause what led to it
     */
    public LegoException(String message, Throwable cause) {
        super(message, cause);
    }
}
