package org.legodnn;

/** An inference request that the model cannot take: unknown model, wrong size, NaN. */
public class InputException extends LegoException {
    private static final long serialVersionUID = 1;

    /** @param message what is wrong, where, and what to do */
    public InputException(String message) {
        super(message);
    }

    /**
     * @param message what is wrong, where, and what to do
     * @param cause what led to it
     */
    public InputException(String message, Throwable cause) {
        super(message, cause);
    }
}
