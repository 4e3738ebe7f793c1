import com.pixelmed.dicom.AttributeList;
import com.pixelmed.validate.DicomSRValidator;
import java.util.List;

/** PixelMed's template validation of many structured reports in one go: its rules take seconds to be read. */
class ValidateReports {
    public static void main(String[] paths) {
        List.of(paths).parallelStream().forEach(ValidateReports::validate);
    }

    private static final ThreadLocal<DicomSRValidator> VALIDATOR = ThreadLocal.withInitial(ValidateReports::validator);

    private static DicomSRValidator validator() {
        try {
            return new DicomSRValidator();
        } catch (Exception fault) {
            throw new IllegalStateException(fault);
        }
    }

    private static void validate(String path) {
        try {
            AttributeList report = new AttributeList();
            report.read(path);
            String told = VALIDATOR.get().validate(report);
            synchronized (System.out) {
                told.lines().forEach(line -> System.out.println(path + ": " + line));
            }
        } catch (Exception fault) {
            throw new IllegalStateException(path, fault);
        }
    }
}
