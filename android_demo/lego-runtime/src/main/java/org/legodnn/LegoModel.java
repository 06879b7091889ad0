package org.legodnn;

/** One model of a runtime: its store, what a device measured of it, and what is asked of it. Immutable. */
public final class LegoModel {
    final Store store;
    final Profile profile;
    final ModelTable table;
    final boolean anyDevice;
    /** The tails that the table was made with, by which those are known that the application has set itself. */
    final Tails profiledTails;

    private LegoModel(Store store, Profile profile, ModelTable table, boolean anyDevice, Tails profiledTails) {
        this.profiledTails = profiledTails;
        this.store = store;
        this.profile = profile;
        this.table = table;
        this.anyDevice = anyDevice;
    }

    /**
     * A model of weight 1 without limits, named as in its store.
     *
     * @param store the store
     * @param profile what this device measured of it
     * @throws ProfileException the profile is of another store
     * @throws WorkloadException a figure makes no sense
     */
    public static LegoModel of(Store store, Profile profile) {
        ModelTable table = ModelTable.fromStore(store, profile);
        return new LegoModel(store, profile, table, false, table.tails);
    }

    /**
     * The same with another table, such as {@code model.withTable(model.table().withWeight(2).withLatencyMs(8))}.
     *
     * @param other made of this one
     */
    public LegoModel withTable(ModelTable other) {
        return new LegoModel(store, profile, other, anyDevice, profiledTails);
    }

    /**
     * The same with another profile, one that this device made: what is asked of the model stays as it is.
     *
     * @param other what this device measured of the store
     * @throws ProfileException it is of another store
     * @throws WorkloadException it lacks the thread count that is asked for, or a figure makes no sense
     */
    public LegoModel withProfile(Profile other) {
        ModelTable measured = ModelTable.fromStore(store, other);
        return new LegoModel(store, other, measured.withRequestsOf(table), false, measured.tails);
    }

    /**
     * The same, with a profile that may be of another device: then latency and memory are predicted as they were there.
     * For a first start, until this device has been profiled.
     */
    public LegoModel onAnyDevice() {
        return new LegoModel(store, profile, table, true, profiledTails);
    }

    /** The store. */
    public Store store() {
        return store;
    }

    /** What was measured of it. */
    public Profile profile() {
        return profile;
    }

    /** Its name, weight and limits, and every option's figures. */
    public ModelTable table() {
        return table;
    }

    /** Whether a profile of another device will do. */
    public boolean anyDevice() {
        return anyDevice;
    }
}
