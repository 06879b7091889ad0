package org.legodnn;

/** One model of a runtime: its store, what the device measured of it, and what is asked of it. */
public final class LegoModel {
    /** The store. */
    public final Store store;
    /** What this device measured of it. */
    public final Profile profile;
    /** Its name, weight and limits, and every option's figures. */
    public final ModelTable table;

    /**
     * @param store the store
     * @param profile what this device measured of it
     * @param table made of the two by {@link ModelTable#fromStore}, with what else is asked of the model
     */
    public LegoModel(Store store, Profile profile, ModelTable table) {
        this.store = store;
        this.profile = profile;
        this.table = table;
    }

    /**
     * A model of weight 1 without limits, named as in its store.
     *
     * @throws ProfileException the profile is of another store
     * @throws WorkloadException a figure makes no sense
     */
    public static LegoModel of(Store store, Profile profile) {
        return new LegoModel(store, profile, ModelTable.fromStore(store, profile));
    }
}
