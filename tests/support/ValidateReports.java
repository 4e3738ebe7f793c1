import com.pixelmed.dicom.AttributeList;
import com.pixelmed.validate.DicomSRValidator;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Arrays;

/**
 * PixelMed's template validation: a line of paths, parted by tabs, is answered by what it says of each and by "done".
 * It goes on until its input ends, as its rules take seconds to be read.
 */
class ValidateReports {
    public static void main(String[] arguments) throws Exception {
        BufferedReader asked = new BufferedReader(new InputStreamReader(System.in));
        for (String line = asked.readLine(); line != null; line = asked.readLine()) {
            Arrays.stream(line.split("\t")).parallel().forEach(ValidateReports::validate);
            System.out.println("done");
        }
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
            System.out.println(path + ": " + fault);
        }
    }
}
